"""Scores of classifiers against scikit-learn and torchmetrics."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, log_loss
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from harness.metrics.classification import (
    accuracy,
    balanced_accuracy,
    calibration_error,
    majority_share,
    most_accurate,
    negative_log_likelihood,
)


@pytest.fixture
def guesses() -> tuple[Tensor, Tensor]:
    """Probabilities (N,K) that know something, and uneven labels (N,)."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.multinomial(torch.tensor([0.6, 0.3, 0.1, 0.0]), 500, replacement=True, generator=generator)
    logits = torch.randn(500, 4, generator=generator)
    return torch.softmax(logits.scatter_add(1, labels[:, None], torch.full((500, 1), 1.5)), 1), labels


def test_scores_agree_with_libraries(guesses: tuple[Tensor, Tensor]) -> None:
    # class 3 never occurs, but is sometimes guessed
    shares, labels = guesses
    predicted = shares.argmax(1)
    assert accuracy(predicted, labels) == pytest.approx(float((predicted == labels).sum()) / 500)
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected = balanced_accuracy_score(labels.numpy(), predicted.numpy())
    assert balanced_accuracy(predicted, labels) == pytest.approx(expected)
    exact = shares.double() / shares.double().sum(1, keepdim=True)
    expected = log_loss(labels.numpy(), exact.numpy(), labels=[0, 1, 2, 3])
    assert negative_log_likelihood(exact, labels) == pytest.approx(expected)
    expected = float(multiclass_calibration_error(shares, labels, num_classes=4, n_bins=15, norm="l1"))
    assert calibration_error(shares, labels) == pytest.approx(expected, abs=1e-6)


def test_calibration_of_a_sure_classifier_is_its_error_rate() -> None:
    shares = torch.eye(2)[torch.tensor([0, 0, 0, 1])]
    assert calibration_error(shares, torch.tensor([0, 0, 1, 1])) == pytest.approx(0.25)
    assert calibration_error(shares, torch.tensor([0, 0, 0, 1])) == 0.0


def test_an_impossible_label_costs_a_finite_likelihood() -> None:
    assert negative_log_likelihood(torch.tensor([[1.0, 0.0]]), torch.tensor([1])) == pytest.approx(16.118, abs=1e-3)


def test_majority_share_and_ties() -> None:
    assert majority_share(torch.tensor([3, 3, 1, 0])) == 0.5
    assert most_accurate([(0.9, 0.3), (0.9, 0.2), (0.8, 0.1)]) == 1
    assert most_accurate([(0.9, 0.2), (0.9, 0.2)]) == 0
