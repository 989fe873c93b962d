"""Telling digits from another dataset: scores of known cases, the other dataset's reading, and its limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from example_subject import digits_dataset, example_subject
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from harness.data.columns import InMemory
from harness.data.rows import Dataset, Rows
from harness.errors import NotApplicable
from harness.judging.subject import Subject
from harness.records import PluginRef
from harness_plugins.evaluations.out_of_distribution import SCORES, Config, Trial, novelties, others, run

SPLITS = ("train", "validation", "test")
ANOTHER = Config(other="other")
CPU = torch.device("cpu")


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
    scores = run(subject, ANOTHER)
    assert set(scores) == {score.name for score in SCORES}
    assert scores["auroc"].value > 0.999
    assert scores["fpr95"].value < 0.01
    assert scores["auroc"].note == "against 200 test images of other; resized from 28x28x1 to 8x8x1"
    assert scores["auroc"].outcomes.shape == (len(data.test),)
    trial = Trial(
        known=subject.features("train"),
        labels=data.train.labels,
        ours=subject.features("test"),
        rows=torch.arange(len(data.test)),
        theirs=subject.batched(subject.encode, other.test.inputs),
    )
    for name, (ours, theirs) in novelties(trial, ANOTHER, CPU):
        suffix = {"knn": "", "mahalanobis": "_mahalanobis", "relative_mahalanobis": "_relative"}[name]
        expected = roc_auc_score([0] * len(ours) + [1] * len(theirs), torch.cat([ours, theirs]).numpy())
        assert scores[f"auroc{suffix}"].value == pytest.approx(expected)


def test_more_of_the_same_is_not_told(tmp_path: Path) -> None:
    data = digits_dataset()
    subject = beside(example_subject(Flat(), data, tmp_path), tmp_path, with_test(data, data.validation.values))
    scores = run(subject, Config(other="other", neighbours=5))
    for suffix in ("", "_mahalanobis", "_relative"):
        assert scores[f"auroc{suffix}"].value == pytest.approx(0.5, abs=0.08)
        assert scores[f"fpr95{suffix}"].value > 0.85


def test_without_labels_there_is_one_class_and_no_relative_distance(tmp_path: Path) -> None:
    data = digits_dataset()
    bare = replace(data, train=Rows(inputs=InMemory(data.train.values)))
    other = with_test(data, 255 - data.test.values)
    scores = run(beside(example_subject(Flat(), bare, tmp_path), tmp_path, other), Config(other="other", test_limit=50))
    assert set(scores) == {"auroc", "fpr95", "auroc_mahalanobis", "fpr95_mahalanobis"}
    assert (
        "against 50 of 360 test images of other" in scores["auroc"].note or "against 50 of 359" in scores["auroc"].note
    )


def test_unasked_each_half_of_the_classes_is_foreign_once(tmp_path: Path) -> None:
    data = digits_dataset()
    subject = example_subject(Flat(), data, tmp_path)
    scores = run(subject, Config())
    assert set(scores) == {score.name for score in SCORES}
    assert scores["auroc"].note == "5 of 10 classes known, the others foreign; then the other way round"
    train, test, known, truth = subject.features("train"), subject.features("test"), data.train.labels, data.test.labels
    told, passed = torch.zeros(len(truth)), []
    for parity in (0, 1):
        bank = train[known % 2 == parity]
        cosines = F.normalize(test, dim=1) @ F.normalize(bank, dim=1).T
        novelty = -cosines.topk(50, 1).values[:, -1]
        inside, outside = novelty[truth % 2 == parity], novelty[truth % 2 != parity]
        told[truth % 2 == parity] = torch.stack([(outside > own).float().mean() for own in inside])
        passed.append(float((outside <= inside.quantile(0.95, interpolation="higher")).float().mean()))
    assert scores["auroc"].value == pytest.approx(float(told.mean()), abs=1e-3)
    order = scores["auroc"].rows.argsort()
    assert scores["auroc"].rows[order].tolist() == list(range(len(truth)))
    torch.testing.assert_close(scores["auroc"].outcomes[order].float(), told, atol=5e-3, rtol=0)
    assert scores["fpr95"].value == pytest.approx(sum(passed) / 2, abs=0.02)
    assert scores["fpr95"].n == len(truth)


def test_features_that_know_the_classes_notice_all_that_is_foreign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And those that know nothing of it notice nothing."""
    data = digits_dataset()
    subject = example_subject(Flat(), data, tmp_path)
    known = {split: F.one_hot(subject.labels(split), 10).float() + 0.01 for split in SPLITS}
    monkeypatch.setattr(subject, "features", known.__getitem__)
    assert run(subject, Config())["auroc"].value == 1.0
    draws = torch.Generator().manual_seed(0)
    noise = {split: torch.randn(len(subject.labels(split)), 8, generator=draws) for split in SPLITS}
    monkeypatch.setattr(subject, "features", noise.__getitem__)
    assert run(subject, Config())["auroc"].value == pytest.approx(0.5, abs=0.05)


def test_without_two_classes_another_dataset_has_to_be_named(tmp_path: Path) -> None:
    data = digits_dataset()
    bare = replace(data, train=Rows(inputs=InMemory(data.train.values)))
    with pytest.raises(NotApplicable, match=r"digits shows no two classes to hold one out: name another dataset, such"):
        run(example_subject(Flat(), bare, tmp_path), Config())


def test_what_it_reads_beside_the_target() -> None:
    assert others(Config(), "digits[size=16]") == ()
    assert others(Config(other="shapes[size=16]"), "digits") == ("shapes[size=16]",)
    with pytest.raises(ValueError, match="neighbours and test_limit must be at least 1"):
        Config(neighbours=0)
