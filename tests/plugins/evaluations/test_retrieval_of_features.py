"""Retrieval by cosine on digits: against scikit-learn, and what it does not apply to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from example_subject import digits_dataset, example_subject
from sklearn.metrics import average_precision_score
from sklearn.metrics.pairwise import cosine_similarity
from torch import Tensor, nn

from harness.data.columns import InMemory
from harness.data.rows import Rows
from harness.errors import NotApplicable
from harness_plugins.evaluations.retrieval import SCORES, Config, run


class Flat(nn.Module):
    """Pixels as features."""

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def test_digits_against_scikit_learn(tmp_path: Path) -> None:
    subject = example_subject(Flat(), digits_dataset(), tmp_path)
    scores = run(subject, Config())
    assert set(scores) == {score.name for score in SCORES}
    cosines = cosine_similarity(subject.features("test").numpy(), subject.features("train").numpy())
    wanted, classes = subject.labels("test").numpy(), subject.labels("train").numpy()
    each = [average_precision_score(classes == label, row) for label, row in zip(wanted, cosines, strict=True)]
    np.testing.assert_allclose(scores["map"].outcomes.numpy(), each, atol=1e-4)
    assert scores["map"].value == pytest.approx(np.mean(each), abs=1e-5)
    assert scores["recall_1"].value == pytest.approx((classes[cosines.argmax(1)] == wanted).mean())
    assert scores["recall_1"].value <= scores["recall_5"].value <= scores["recall_10"].value
    assert scores["map_at_r"].value < scores["map"].value
    assert scores["map"].chance == pytest.approx(0.1, abs=0.01)
    assert scores["recall_1"].chance == pytest.approx(0.1, abs=0.01)


def test_random_features_are_at_chance(tmp_path: Path) -> None:
    class Noise(nn.Module):
        def encode(self, images: Tensor) -> Tensor:
            weights = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
            return torch.sin(1e4 * images.flatten(1) @ weights)

    scores = run(example_subject(Noise(), digits_dataset(), tmp_path), Config())
    assert scores["map"].value == pytest.approx(scores["map"].chance, abs=0.01)


def test_a_limited_bank_is_said_and_labels_are_needed(tmp_path: Path) -> None:
    data = digits_dataset()
    scores = run(example_subject(Flat(), data, tmp_path), Config(bank_limit=100))
    assert scores["map"].note == "bank of 100 of 1294 training images"
    with pytest.raises(NotApplicable, match="has no labels"):
        run(example_subject(Flat(), replace(data, train=Rows(inputs=InMemory(data.train.values))), tmp_path), Config())
    with pytest.raises(ValueError, match="bank_limit must be at least 1"):
        Config(bank_limit=0)
