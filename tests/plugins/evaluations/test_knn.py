"""kNN against scikit-learn's classifier and the formula of the weighted vote."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from example_subject import digits_dataset, example_subject
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn

from harness.data.columns import InMemory
from harness.data.rows import Rows
from harness.errors import NotApplicable
from harness.metrics.features import normalised
from harness.metrics.votes import nearest_by_cosine, votes
from harness_plugins.evaluations.knn import Config, choose, run


class Flat(nn.Module):
    """Pixels as features."""

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class Constant(nn.Module):
    """One feature, the mean brightness."""

    def encode(self, images: Tensor) -> Tensor:
        return images.mean((1, 2, 3))[:, None]


def example(n: int, dim: int, seed: int) -> tuple[Tensor, Tensor]:
    """Three overlapping clouds: features (N,D) and labels (N,)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (n,), generator=generator)
    centres = torch.randn(3, dim, generator=torch.Generator().manual_seed(99))
    return torch.randn(n, dim, generator=generator) + centres[labels], labels


@pytest.mark.parametrize(("n", "k"), [(500, 20), (3000, 20), (3011, 7)])
def test_nearest_are_those_of_a_full_sort(n: int, k: int) -> None:
    bank, queries = normalised(example(n, 8, 0)[0]), normalised(example(300, 8, 1)[0])
    cosines, rows = nearest_by_cosine(queries, bank, k)
    expected = (queries @ bank.T).sort(dim=1, descending=True)
    torch.testing.assert_close(cosines, expected.values[:, :k])
    torch.testing.assert_close((queries[:, None] * bank[rows]).sum(2), cosines, atol=1e-6, rtol=1e-5)
    assert all(len(set(row)) == k for row in rows.tolist())


@pytest.mark.parametrize("temperature", [0.07, math.inf])
def test_votes_agree_with_scikit_learn(temperature: float) -> None:
    (bank, labels), (queries, _) = example(400, 6, 0), example(100, 6, 1)
    cosines, rows = nearest_by_cosine(normalised(queries), normalised(bank), 20)

    def weights(distance: np.ndarray) -> np.ndarray:
        return np.exp((1 - distance) / temperature)

    for k, shares in zip((5, 20), votes(cosines, labels[rows], 3, (5, 20), temperature), strict=True):
        theirs = KNeighborsClassifier(k, metric="cosine", algorithm="brute", weights=weights)
        expected = theirs.fit(bank.double().numpy(), labels.numpy()).predict_proba(queries.double().numpy())
        np.testing.assert_allclose(shares.numpy(), expected, atol=1e-4)


def test_choice_prefers_what_validation_prefers() -> None:
    # the nearest neighbour is always wrong, the four after it are right and almost as near
    cosines = torch.tensor([[0.9, 0.89, 0.89, 0.89, 0.89]]).expand(6, -1)
    labels = torch.arange(6) % 2
    neighbours = torch.stack([1 - labels] + [labels] * 4, 1)
    k, _ = choose(cosines, neighbours, labels, 2)
    assert k == 5
    k, temperature = choose(cosines, labels[:, None].expand(-1, 5), labels, 2)
    assert (k, temperature) == (1, 0.03)  # all are right and sure: the first


def test_digits_and_its_note(tmp_path: Path) -> None:
    subject = example_subject(Flat(), digits_dataset(), tmp_path)
    score = run(subject, Config())["accuracy"]
    theirs = KNeighborsClassifier(5, metric="cosine", algorithm="brute")
    theirs.fit(subject.features("train").numpy(), subject.labels("train").numpy())
    expected = theirs.score(subject.features("test").numpy(), subject.labels("test").numpy())
    assert abs(score.value - expected) < 0.01
    assert score.note.startswith("k=")
    assert "bank of" not in score.note
    assert "bank of 100 of 1294" in run(subject, Config(bank_limit=100))["accuracy"].note


@pytest.mark.parametrize("k", [1, 7])
def test_a_given_k_is_scikit_learns_equal_vote_and_chooses_nothing(tmp_path: Path, k: int) -> None:
    data = digits_dataset()
    subject = example_subject(Flat(), replace(data, validation=replace(data.validation, labels=None)), tmp_path)
    score = run(subject, Config(k=k))["accuracy"]
    train, test = (normalised(rows.values.flatten(1) / 255) for rows in (data.train, data.test))
    theirs = KNeighborsClassifier(k, metric="cosine").fit(train, data.train.labels).predict(test)
    # equal numbers of votes are decided otherwise there
    assert float((score.outcomes == torch.from_numpy(theirs == data.test.labels.numpy())).double().mean()) > 0.99
    if k == 1:
        assert score.value == pytest.approx(float((theirs == data.test.labels.numpy()).mean()))
    assert score.note == f"k={k}, equal votes"
    with pytest.raises(ValueError, match="at least 1"):
        Config(k=0)


def test_one_feature_is_no_better_than_chance_by_cosine(tmp_path: Path) -> None:
    score = run(example_subject(Constant(), digits_dataset(), tmp_path), Config())["accuracy"]
    assert score.value < 0.2  # all cosines are 1: only the order of the bank is left


def test_a_bank_and_a_validation_split_of_two(tmp_path: Path) -> None:
    data = digits_dataset()
    pair = torch.tensor([int((data.train.labels == label).nonzero()[0]) for label in (0, 1)])
    small = replace(
        data,
        train=Rows(inputs=InMemory(data.train.values[pair]), labels=data.train.labels[pair]),
        validation=Rows(inputs=InMemory(data.validation.values[:2]), labels=data.validation.labels[:2]),
    )
    score = run(example_subject(Flat(), small, tmp_path), Config())["accuracy"]
    assert score.note == "k=1, T=0.03"
    assert 0.1 < score.value <= 0.21  # labels 2 to 9 are never guessed


def test_needs_labels(tmp_path: Path) -> None:
    data = digits_dataset()
    with pytest.raises(NotApplicable, match="has no labels"):
        run(example_subject(Flat(), replace(data, train=Rows(inputs=InMemory(data.train.values))), tmp_path), Config())
    with pytest.raises(ValueError, match="bank_limit and k must be at least 1"):
        Config(bank_limit=0)
