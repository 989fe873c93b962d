"""The feature spaces that an evaluation can ask for by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from harness.data.columns import blocks
from harness.errors import NotApplicable
from harness.judging.extractor import Extractor
from harness.judging.in_domain import in_domain_extractor
from harness.judging.label_free import label_free_extractor
from harness.judging.subject import Subject

BLOCK = 512  # images that are looked at together
Space = Literal["in-domain", "label-free", "inception"]


def extractor_named(name: Space, subject: Subject) -> Extractor:
    """One of the spaces, for the subject's target. Raises NotApplicable where it cannot be had.

    in-domain    a classifier of the target's own classes; where it has no labels, as label-free
    label-free   an encoder that learned from the target's own images alone
    inception    the network of published distances
    """
    test = subject.inputs("test")
    first = test.take(torch.arange(1))
    if all(bool((part == first).all()) for part in blocks(test, BLOCK)):
        raise NotApplicable(f"all test images of {subject.target.name} are the same: there is nothing to be near to")
    if name == "inception":
        from harness.judging.inception import inception_extractor  # torchvision's models, which nobody else needs

        return inception_extractor(subject.device)
    if name == "label-free" or not has_labels(subject):
        return label_free_extractor(subject)
    return in_domain_extractor(subject)


def has_labels(subject: Subject) -> bool:
    """Has the target labels to train a classifier with and to test it?"""
    target = subject.target
    return all(split.labels is not None for split in (target.train, target.validation, target.test))


def files_of(name: str) -> list[Path]:
    """The files that it reads, for EvaluationSpec.files: weights that come or change make what was judged stale.

    Weights that are missing are left out: the rows are skipped then, with where to put them.
    """
    if name == "inception":
        from harness.judging.inception import weights_path

        return [weights_path()] if weights_path().is_file() else []
    return []
