"""Segmentation scores against scikit-learn and torchmetrics, and their limits."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import confusion_matrix, jaccard_score
from torchmetrics.functional.classification import multiclass_jaccard_index

from harness.metrics.segmentation import (
    against_first,
    confusion,
    intersection_over_union,
    mean_intersection_over_union,
)


@pytest.fixture
def masks() -> tuple[torch.Tensor, torch.Tensor]:
    """Predictions and truth (6,9,9) of four regions, half of them right."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 4, (6, 9, 9), generator=generator)
    guess = torch.randint(0, 4, (6, 9, 9), generator=generator)
    return torch.where(torch.rand(truth.shape, generator=generator) < 0.5, truth, guess), truth


def test_scores_are_those_of_scikit_learn(masks: tuple[torch.Tensor, torch.Tensor]) -> None:
    predicted, truth = (part.flatten().numpy() for part in masks)
    counts = confusion(*masks, 4)
    assert counts.tolist() == confusion_matrix(truth, predicted).tolist()
    assert intersection_over_union(counts).tolist() == pytest.approx(jaccard_score(truth, predicted, average=None))
    assert mean_intersection_over_union(counts) == pytest.approx(jaccard_score(truth, predicted, average="macro"))
    theirs = multiclass_jaccard_index(*masks, num_classes=4)
    assert mean_intersection_over_union(counts) == pytest.approx(float(theirs), abs=1e-6)


def test_everything_but_the_background_as_one(masks: tuple[torch.Tensor, torch.Tensor]) -> None:
    predicted, truth = ((part > 0).flatten().numpy() for part in masks)
    assert intersection_over_union(against_first(confusion(*masks, 4)))[1] == jaccard_score(truth, predicted)


def test_what_never_occurs_is_not_counted(masks: tuple[torch.Tensor, torch.Tensor]) -> None:
    _, truth = masks
    counts = confusion(truth, truth, 6)
    assert math.isnan(intersection_over_union(counts)[5])
    assert mean_intersection_over_union(counts) == 1
    assert mean_intersection_over_union(confusion(truth * 0, truth, 6)) == pytest.approx(
        float((truth == 0).double().mean()) / 4
    )
