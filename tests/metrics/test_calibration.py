"""Temperature against a scalar minimiser, errors against torchmetrics and loops, the floor against its closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.metrics import brier_score_loss, log_loss
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from harness.metrics.calibration import (
    COOLEST,
    HOTTEST,
    binned,
    equal_mass,
    equal_width,
    floor_of_error,
    squared_errors,
    temperature_of,
)
from harness.metrics.classification import calibration_error


def example(n: int = 500, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    """Logits (N,4) that are `scale` times too large for labels (N,)."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(n, 4, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(torch.softmax(logits, 1), 1, generator=generator).squeeze(1)
    return scale * logits, labels


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_the_temperature_is_that_of_a_scalar_minimiser(scale: float) -> None:
    logits, labels = example(scale=scale)
    loss = lambda log_t: log_loss(labels.numpy(), torch.softmax(logits / math.exp(log_t), 1).numpy())  # noqa: E731
    theirs = minimize_scalar(loss, bounds=(math.log(COOLEST), math.log(HOTTEST)), method="bounded")
    assert temperature_of(logits, labels) == pytest.approx(math.exp(theirs.x), rel=1e-3)
    assert temperature_of(logits, labels) == pytest.approx(scale, rel=0.15)


def test_limits_of_the_temperature() -> None:
    logits = torch.tensor([[2.0, -1.0], [-1.0, 2.0]])
    assert temperature_of(logits, torch.tensor([0, 1])) == pytest.approx(COOLEST)  # all right: the surer the better
    assert temperature_of(logits, torch.tensor([1, 0])) == pytest.approx(HOTTEST)  # all wrong
    absent = torch.tensor([[4.0, 0.0, -torch.inf]] * 4)
    assert temperature_of(absent, torch.tensor([0, 0, 0, 1])) == pytest.approx(4 / math.log(3))
    assert temperature_of(absent, torch.tensor([0, 0, 1, 2])) == pytest.approx(4 / math.log(2))  # 2: at no temperature
    assert temperature_of(absent, torch.full((4,), 2)) == 1.0


def test_brier_score_against_scikit_learn_and_its_limits() -> None:
    pytest.importorskip("sklearn", minversion="1.7", reason="older ones have it of two classes alone")
    logits, labels = example()
    shares = torch.softmax(logits, 1)
    theirs = brier_score_loss(labels.numpy(), shares.numpy(), labels=[0, 1, 2, 3], scale_by_half=False)
    assert float(squared_errors(shares, labels).mean()) == pytest.approx(theirs)
    sure = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert squared_errors(sure, torch.tensor([0, 1])).tolist() == [0.0, 2.0]


def test_the_error_of_equal_bins_against_torchmetrics_and_ours() -> None:
    logits, labels = example()
    shares = torch.softmax(logits, 1)
    ours = binned(shares, labels, 15, equal_width).error
    assert ours == pytest.approx(calibration_error(shares, labels))
    assert ours == pytest.approx(float(multiclass_calibration_error(shares, labels, 4, n_bins=15)), abs=1e-5)


def test_the_error_of_bins_of_equal_mass_against_a_loop() -> None:
    logits, labels = example(n=101)
    shares = torch.softmax(logits, 1).numpy()
    confidence, right = shares.max(1), shares.argmax(1) == labels.numpy()
    order = confidence.argsort(kind="stable")
    parts = [order[np.arange(101) * 7 // 101 == m] for m in range(7)]
    expected = sum(len(p) / 101 * abs(right[p].mean() - confidence[p].mean()) for p in parts)
    found = binned(torch.from_numpy(shares), labels, 7, equal_mass)
    assert found.error == pytest.approx(expected)
    assert {int(n) for n in found.count} == {14, 15}
    ties = equal_mass(torch.full((6,), 0.5), 3)
    assert ties.tolist() == [0, 0, 1, 1, 2, 2]
    few = binned(torch.tensor([[0.6, 0.4]]), torch.tensor([0]), 15, equal_mass)
    assert few.error == pytest.approx(0.4)  # 14 empty bins weigh nothing
    assert few.accuracy.isnan().sum() == 14


def test_the_floor_is_what_a_perfect_classifier_shows() -> None:
    n, p = 400, 0.75
    shares = torch.tensor([[p, 1 - p]]).expand(n, -1)  # one bin: |mean of n Bernoulli - p|
    floor = floor_of_error(shares, 15, torch.Generator().manual_seed(0))
    assert floor == pytest.approx(math.sqrt(2 / math.pi * p * (1 - p) / n), rel=0.15)
    assert floor_of_error(torch.tensor([[1.0, 0.0]] * 5), 15, torch.Generator()) == 0.0
    logits, labels = example(scale=1.0, n=2000)
    shares = torch.softmax(logits, 1)
    floor = floor_of_error(shares, 15, torch.Generator().manual_seed(0))
    assert binned(shares, labels, 15, equal_width).error < 2 * floor < 0.05
