"""Trainings that end well and gave nothing of use: they fail with a reason, since no score would tell why.

Values that are not finite end a training at once (harness.trainer), and a representation that collapses ends it while
it trains (harness.judging.collapse); what is too short for that fails when it is judged (harness.judging.subject).
Here: samples that are all alike, and what a method knows of itself (`diagnose`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.data.fields import PLURALS
from harness.data.rows import Dataset, condition_of
from harness.errors import TrainingFailed
from harness.plugin.capabilities import capabilities_of
from harness.seeding import derived_generator

EARLIEST = 500  # optimiser steps: before that, little has been learned, and nothing has failed
LOOKED_AT = 64  # samples, and validation examples
LEAST_VARIETY = 0.01  # of samples, as a fraction of the real images' variance


def check_training(method: Any, source: Dataset, *, steps: int, seed: int, device: str) -> None:
    """Raise TrainingFailed with the reason if this trained method is of no use. It is put into eval mode."""
    if steps < EARLIEST:
        return
    able = capabilities_of(method)
    shown = source.validation.rows(torch.arange(min(LOOKED_AT, len(source.validation))))
    real = source.spec.inputs.ready(shown.values.to(device))
    method.eval()
    with torch.no_grad():
        if "sample" in able:
            samples = _samples(method, source, len(real), derived_generator(seed, "diagnosis"), device)
            things = PLURALS[source.spec.kind]
            _check_modes(samples, real, "single mode: the variance between samples", things)
            if getattr(method, "condition", "") == "labels":
                assert source.validation.labels is not None
                labels = source.validation.labels[: len(real)].to(device)
                within = (centred(samples, labels), centred(real, labels))
                _check_modes(*within, "a single mode of each class: the variance between its samples", things)
        reason = method.diagnose(real) if "diagnose" in able else ""
    if reason:
        raise TrainingFailed(reason)


def variety(images: Tensor) -> float:
    """The variance of a pixel between images (N,C,H,W), averaged over pixels; so of clips, and of texts' tokens."""
    return float(images.float().var(0).mean())


def centred(images: Tensor, labels: Tensor) -> Tensor:
    """Images (N,...) minus the mean image of their class: what their labels (N,) do not tell."""
    _, group = labels.unique(return_inverse=True)  # (N,)
    sums = images.new_zeros(int(group.max()) + 1, *images.shape[1:]).index_add_(0, group, images)
    counts = group.bincount().view(-1, *[1] * (images.ndim - 1))
    return images - (sums / counts)[group]


def _check_modes(samples: Tensor, real: Tensor, what: str, things: str) -> None:
    expected = variety(real)
    if not variety(samples) >= LEAST_VARIETY * expected:
        raise TrainingFailed(f"{what} is {variety(samples) / max(expected, 1e-12):.2g} of that between {things}")


def _samples(method: Any, source: Dataset, n: int, generator: torch.Generator, device: str) -> Tensor:
    if "sample_as" in capabilities_of(method):
        asked = condition_of(source.validation.rows(torch.arange(n)), method.condition)
        assert asked is not None
        return method.sample_as(asked.to(device), generator)
    return method.sample(n, generator)
