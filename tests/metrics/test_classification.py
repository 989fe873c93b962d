"""Scores of classifiers against scikit-learn and torchmetrics, and where they must not follow them."""

from __future__ import annotations

from math import isnan, log

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, log_loss
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_recall,
)
from torchmetrics.functional.text import perplexity

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


@pytest.mark.parametrize("seed", range(5))
def test_scores_agree_with_torchmetrics(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    shares = torch.softmax(2 * torch.randn(300, 7, generator=generator), 1)
    labels = torch.multinomial(shares, 1, generator=generator).squeeze(1)
    predicted = shares.argmax(1)
    theirs = multiclass_accuracy(predicted, labels, 7, average="micro")
    assert accuracy(predicted, labels) == pytest.approx(float(theirs), abs=1e-7)
    assert accuracy(predicted, labels) == float((predicted == labels).double().mean())  # to the last bit
    assert len(labels.unique()) == 7  # then mean recall is their macro average
    assert balanced_accuracy(predicted, labels) == pytest.approx(
        float(multiclass_recall(predicted, labels, 7)), abs=1e-6
    )
    assert calibration_error(shares, labels) == pytest.approx(
        float(multiclass_calibration_error(shares, labels, 7, n_bins=15)), abs=1e-6
    )
    assert negative_log_likelihood(shares, labels) == pytest.approx(
        log(float(perplexity(shares.double().log()[None], labels[None]))), abs=1e-6
    )


def test_accuracies_of_one_class_of_none_and_of_constant_predictions() -> None:
    zeros, empty = torch.zeros(4, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
    assert accuracy(zeros, zeros) == balanced_accuracy(zeros, zeros) == 1.0
    assert accuracy(zeros + 3, zeros) == balanced_accuracy(zeros + 3, zeros) == 0.0
    assert isnan(accuracy(empty, empty))
    assert isnan(balanced_accuracy(empty, empty))
    labels = torch.tensor([5, 5, 2, 9])
    assert accuracy(zeros + 5, labels) == 0.5
    assert balanced_accuracy(zeros + 5, labels) == pytest.approx(1 / 3, rel=1e-15)


def test_a_class_that_test_does_not_show_is_no_class_of_the_mean() -> None:
    labels, predicted = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 2, 1, 1])
    assert balanced_accuracy(predicted, labels) == 0.75
    assert float(multiclass_recall(predicted, labels, 3)) == 0.5  # torchmetrics counts class 2 as well


def test_unreadable_and_left_out_answers_are_wrong_ones() -> None:
    assert accuracy(torch.tensor([-1, 2]), torch.tensor([1, 2])) == 0.5
    assert accuracy(torch.tensor([1, 2]), torch.tensor([-100, 2])) == 0.5
    assert balanced_accuracy(torch.tensor([-1, 2, 2]), torch.tensor([1, 2, 1])) == 0.5
    with pytest.raises(ValueError, match="same shape"):
        accuracy(torch.tensor([1, 2]), torch.tensor([1]))
    with pytest.raises(ValueError, match="same shape"):
        balanced_accuracy(torch.tensor([1, 2]), torch.tensor([1]))


def test_a_confidence_of_one_belongs_to_the_last_bin() -> None:
    shares = torch.tensor([[1.0, 0.0], [0.95, 0.05]])
    labels = torch.tensor([1, 0])  # -1 and +0.05, in one bin
    assert calibration_error(shares, labels) == pytest.approx(0.475)
    assert float(multiclass_calibration_error(shares, labels, 2, n_bins=15)) == pytest.approx(0.525)  # in two


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
