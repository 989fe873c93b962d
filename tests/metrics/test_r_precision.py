"""R-precision against loops over images and captions, and its limits."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.metrics import r_precision
from harness.metrics.r_precision import candidates, ranked


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_hand(images: np.ndarray, captions: np.ndarray, among: np.ndarray) -> list[int]:
    """For each image: sort its candidates by cosine, and see whether the first is its own."""
    right = []
    for image, some in zip(images, among, strict=True):
        cosines = [float(image @ captions[c] / np.linalg.norm(image) / np.linalg.norm(captions[c])) for c in some]
        best = sorted(zip(cosines, some, strict=True), reverse=True)[0][1]
        right.append(int(best == some[0]))
    return right


def test_it_is_what_loops_give(monkeypatch: pytest.MonkeyPatch) -> None:
    images, captions = torch.randn(60, 5, generator=seeded()), torch.randn(23, 5, generator=seeded(1))
    own = torch.randint(23, (60,), generator=seeded(2))
    images += captions[own]
    among = candidates(own, 23, 10, seeded(3))
    found = ranked(F.normalize(images, dim=1), F.normalize(captions, dim=1), among)
    expected = by_hand(images.numpy(), captions.numpy(), among.numpy())
    assert found.right.tolist() == expected
    assert 0 < sum(expected) < 60
    assert (found.first == own).tolist() == [bool(right) for right in expected]
    assert (found.rank == 1).tolist() == [bool(right) for right in expected]
    assert int(found.rank.max()) <= 10
    monkeypatch.setattr(r_precision, "BLOCK", 100)  # four images at a time
    again = ranked(F.normalize(images, dim=1), F.normalize(captions, dim=1), among)
    assert torch.equal(again.right, found.right)
    assert torch.equal(again.rank, found.rank)


def test_candidates_are_different_and_the_own_one_comes_first() -> None:
    own = torch.tensor([4, 4, 0, 7])
    among = candidates(own, 8, 5, seeded())
    assert among.shape == (4, 5)
    assert torch.equal(among[:, 0], own)
    assert all(len(set(row)) == 5 for row in among.tolist())
    assert among[0].tolist() != among[1].tolist()  # drawn for each image
    assert torch.equal(candidates(own, 8, 5, seeded()), among)
    everything = candidates(own, 8, 100, seeded())  # there are no 100
    assert [sorted(row) for row in everything.tolist()] == [list(range(8))] * 4


def test_distractors_are_drawn_evenly() -> None:
    own = torch.zeros(3000, dtype=torch.int64)
    drawn = candidates(own, 11, 4, seeded())[:, 1:].flatten().bincount(minlength=11)
    assert drawn[0] == 0
    assert drawn[1:].double().tolist() == pytest.approx([900] * 10, abs=5 * sqrt(900 * 0.7))


def test_perfect_images_find_all_and_shuffled_ones_find_as_chance_has_it() -> None:
    captions = F.normalize(torch.randn(400, 16, generator=seeded()), dim=1)
    own = torch.arange(400).repeat(5)
    images = captions[own]
    assert float(ranked(images, captions, candidates(own, 400, 100, seeded(1))).right.mean()) == 1.0
    mixed = own[torch.randperm(len(own), generator=seeded(2))]
    shuffled = float(ranked(images, captions, candidates(mixed, 400, 100, seeded(3))).right.mean())
    assert shuffled == pytest.approx(0.01, abs=4 * sqrt(0.01 * 0.99 / len(own)))


def test_a_shared_first_rank_counts_in_part() -> None:
    images = torch.tensor([[1.0, 0.0]]).repeat(3, 1)
    captions = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = ranked(images, captions, torch.tensor([[0, 1, 2, 3], [0, 3, 3, 3], [3, 0, 1, 2]]))
    assert found.right.tolist() == pytest.approx([1 / 3, 1.0, 0.0])
    assert found.rank.tolist() == [1, 1, 4]
    assert found.first.tolist() == [0, 0, 0]  # of equal ones the own
    blind = ranked(torch.zeros(5, 2), captions, candidates(torch.arange(5) % 4, 4, 4, seeded()))
    assert blind.right.tolist() == [0.25] * 5  # sees nothing: chance
