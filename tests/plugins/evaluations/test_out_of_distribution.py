"""Telling digits from another dataset: scores of known cases, the other dataset's reading, and its limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from example_subject import digits_dataset, example_subject
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from harness.data.columns import InMemory
from harness.data.rows import Dataset, Rows
from harness.judging.subject import Subject
from harness.records import PluginRef
from harness_plugins.evaluations.out_of_distribution import SCORES, Config, novelties, others, run


class Flat(nn.Module):
    """Pixels as features."""

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def beside(subject: Subject, folder: Path, other: Dataset) -> Subject:
    """The subject with another dataset to read."""
    subject._read = lambda ref: other
    subject.begin(folder, (PluginRef(name="other"),))
    return subject


def with_test(data: Dataset, pixels: Tensor, note: str = "") -> Dataset:
    return replace(data, test=Rows(inputs=InMemory(pixels)), note=note)


def test_negatives_are_told_and_the_scores_are_those_of_the_distances(tmp_path: Path) -> None:
    data = digits_dataset()
    other = with_test(data, 255 - data.test.values[:200], "resized from 28x28x1 to 8x8x1")
    subject = beside(example_subject(Flat(), data, tmp_path), tmp_path, other)
    scores = run(subject, Config())
    assert set(scores) == {score.name for score in SCORES}
    assert scores["auroc"].value > 0.999
    assert scores["fpr95"].value < 0.01
    assert scores["auroc"].note == "against 200 test images of other; resized from 28x28x1 to 8x8x1"
    assert scores["auroc"].outcomes.shape == (len(data.test),)
    outside = subject.batched(subject.encode, other.test.inputs)
    for name, (ours, theirs) in novelties(subject, outside, Config()):
        suffix = {"knn": "", "mahalanobis": "_mahalanobis", "relative_mahalanobis": "_relative"}[name]
        expected = roc_auc_score([0] * len(ours) + [1] * len(theirs), torch.cat([ours, theirs]).numpy())
        assert scores[f"auroc{suffix}"].value == pytest.approx(expected)


def test_more_of_the_same_is_not_told(tmp_path: Path) -> None:
    data = digits_dataset()
    subject = beside(example_subject(Flat(), data, tmp_path), tmp_path, with_test(data, data.validation.values))
    scores = run(subject, Config(neighbours=5))
    for suffix in ("", "_mahalanobis", "_relative"):
        assert scores[f"auroc{suffix}"].value == pytest.approx(0.5, abs=0.08)
        assert scores[f"fpr95{suffix}"].value > 0.85


def test_without_labels_there_is_one_class_and_no_relative_distance(tmp_path: Path) -> None:
    data = digits_dataset()
    bare = replace(data, train=Rows(inputs=InMemory(data.train.values)))
    other = with_test(data, 255 - data.test.values)
    scores = run(beside(example_subject(Flat(), bare, tmp_path), tmp_path, other), Config(test_limit=50))
    assert set(scores) == {"auroc", "fpr95", "auroc_mahalanobis", "fpr95_mahalanobis"}
    assert (
        "against 50 of 360 test images of other" in scores["auroc"].note or "against 50 of 359" in scores["auroc"].note
    )


def test_what_it_compares_with_unasked() -> None:
    assert others(Config(), "digits[size=16]") == ("shapes",)
    assert others(Config(), "fashion-mnist") == ("digits",)
    assert others(Config(other="shapes[size=16]"), "digits") == ("shapes[size=16]",)
    with pytest.raises(ValueError, match="neighbours and test_limit must be at least 1"):
        Config(neighbours=0)
