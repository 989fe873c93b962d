"""Clustering against brute force and limit cases."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
import torch
from example_subject import digits_dataset, example_subject
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, v_measure_score
from sklearn.preprocessing import scale
from torch import Tensor, nn
from torchmetrics.functional.clustering import adjusted_rand_score as torchmetrics_ari
from torchmetrics.functional.clustering import normalized_mutual_info_score as torchmetrics_nmi

from harness.data.columns import InMemory
from harness.data.rows import Rows, joined
from harness.errors import NotApplicable
from harness.metrics.features import normalised
from harness_plugins.evaluations.clustering import Config, clusters, matched_accuracy, run


class Flat(nn.Module):
    """Pixels as features."""

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class Oracle(nn.Module):
    """A one-hot code of the label, which is written in the first pixel."""

    def encode(self, images: Tensor) -> Tensor:
        return torch.eye(10)[(images[:, 0, 0, 0] * 255).round().long()]


def labelled(split: Rows, labels: Tensor) -> Rows:
    """The split with those labels, written into the first pixel too."""
    images = split.values.clone()
    images[:, 0, 0, 0] = labels.to(torch.uint8)
    return Rows(inputs=InMemory(images), labels=labels)


def test_matched_accuracy_is_the_best_of_all_namings() -> None:
    generator = torch.Generator().manual_seed(0)
    found, labels = torch.randint(4, (60,), generator=generator), torch.randint(4, (60,), generator=generator)
    named = [torch.tensor(names)[found] for names in permutations(range(4))]
    best = max(float((each == labels).double().mean()) for each in named)
    assert matched_accuracy(found, labels) == pytest.approx(best)
    assert matched_accuracy((labels + 1) % 4, labels) == 1.0
    assert matched_accuracy(torch.zeros_like(labels), labels) == pytest.approx(float(torch.bincount(labels).max()) / 60)


@pytest.mark.parametrize("n", [5, 60, 2_000])
def test_nmi_and_ari_agree_with_torchmetrics(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    labels = torch.randint(10, (n,), generator=generator)
    found = torch.where(torch.rand(n, generator=generator) < 0.6, labels, labels.flip(0))
    nmi, ari = normalized_mutual_info_score(labels, found), adjusted_rand_score(labels, found)
    with torch.sparse.check_sparse_tensor_invariants(False):  # torchmetrics builds a sparse table, and torch asks
        assert float(torchmetrics_nmi(found, labels)) == pytest.approx(nmi, abs=1e-6)
        assert float(torchmetrics_ari(found, labels)) == pytest.approx(ari, abs=1e-6)


def test_why_nmi_and_ari_are_not_those_of_torchmetrics() -> None:
    one = torch.zeros(20, dtype=torch.int64)
    labels = torch.randint(10, (100_000,), generator=torch.Generator().manual_seed(0))
    found = torch.where(torch.arange(len(labels)) % 2 == 0, labels, labels.flip(0))
    with torch.sparse.check_sparse_tensor_invariants(False):
        assert float(torchmetrics_nmi(one, one)) == 0.0
        assert float(torchmetrics_ari(found, labels)) != pytest.approx(adjusted_rand_score(labels, found), abs=0.1)
    assert normalized_mutual_info_score(one, one) == 1.0


def test_a_perfect_representation_scores_one(tmp_path: Path) -> None:
    data = digits_dataset()
    perfect = replace(data, train=labelled(data.train, data.train.labels), test=labelled(data.test, data.test.labels))
    scores = run(example_subject(Oracle(), perfect, tmp_path), Config())
    assert {name: score.value for name, score in scores.items()} == pytest.approx({"nmi": 1, "ari": 1, "accuracy": 1})


def test_random_labels_score_near_zero(tmp_path: Path) -> None:
    data = digits_dataset()
    shuffled = data.test.labels[torch.randperm(len(data.test), generator=torch.Generator().manual_seed(0))]
    scores = run(example_subject(Flat(), replace(data, test=replace(data.test, labels=shuffled)), tmp_path), Config())
    assert abs(scores["ari"].value) < 0.02
    assert scores["nmi"].value < 0.1
    assert scores["accuracy"].value < 0.25


def test_digits_are_those_of_scikit_learn_and_repeat(tmp_path: Path) -> None:
    subject = example_subject(Flat(), digits_dataset(), tmp_path)
    scores = run(subject, Config())
    train, test = (normalised(subject.features(split)).numpy() for split in ("train", "test"))
    theirs = KMeans(10, n_init=10, random_state=1).fit(train).predict(test)
    truth = subject.labels("test").numpy()
    assert abs(scores["nmi"].value - normalized_mutual_info_score(truth, theirs)) < 0.06
    assert abs(scores["ari"].value - adjusted_rand_score(truth, theirs)) < 0.08
    assert scores["nmi"].note == "10 clusters"
    assert run(subject, Config()) == scores
    limited = run(subject, Config(train_limit=100, starts=1))
    assert limited["nmi"].note == "10 clusters, found in 100 of 1294 training images"


def test_the_published_v_measure_of_k_means_on_digits(tmp_path: Path) -> None:
    """scikit-learn's plot_kmeans_digits prints 0.625 (0.11 to 0.17), 0.633 (0.22) and 0.621 (today) for k-means++.

    All 1,797 images are clustered and judged there, each pixel scaled to mean 0 and deviation 1. Of ten starts the best
    one is a local optimum with 0.68 to 0.70 in half of the cases; of fifty it is the lowest that is known, 69,405.
    """
    data = digits_dataset()
    everything = joined([data.train, data.validation, data.test])
    whole = replace(data, train=everything, test=everything)
    score = run(example_subject(Flat(), whole, tmp_path), Config(scaling="deviation", starts=50))["nmi"]
    assert score.n is None
    assert score.value == pytest.approx(0.625, abs=0.01)
    pixels, labels = everything.values.flatten(1).double(), everything.labels.numpy()
    theirs = KMeans(10, n_init=50, random_state=0).fit_predict(scale(pixels.numpy()))
    assert score.value == pytest.approx(v_measure_score(labels, theirs), abs=0.005)


def test_fewer_distinct_rows_than_clusters() -> None:
    rows = torch.eye(2).repeat(5, 1)
    found = clusters(rows, rows, 4, 2, seed=0)
    assert len(found.unique()) == 2
    assert clusters(rows[:3], rows, 4, 2, seed=0).shape == (10,)


def test_one_class_or_no_labels_do_not_apply(tmp_path: Path) -> None:
    data = digits_dataset()
    one = replace(data.train, labels=torch.zeros_like(data.train.labels))
    with pytest.raises(NotApplicable, match="fewer than two classes"):
        run(example_subject(Flat(), replace(data, train=one), tmp_path), Config())
    with pytest.raises(NotApplicable, match="has no labels"):
        run(example_subject(Flat(), replace(data, test=replace(data.test, labels=None)), tmp_path), Config())
    with pytest.raises(ValueError, match="starts must be at least 1"):
        Config(starts=0)
