"""Nearest neighbours against scikit-learn and against distances written out, with ties, duplicates and blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from harness.metrics import neighbours
from harness.metrics.neighbours import balls_hit, nearest, squared_distances, squared_radii


def points(n: int, features: int, *, seed: int) -> torch.Tensor:
    return torch.randn(n, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=[7, 512])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one block and with many, the last of them shorter."""
    monkeypatch.setattr(neighbours, "BLOCK", request.param)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_the_nearest_point_is_that_of_scikit_learn(precision: torch.dtype) -> None:
    queries, bank = points(50, 6, seed=0).to(precision) + 3, points(80, 6, seed=1).to(precision) + 3
    known, rows = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(bank.numpy()).kneighbors(queries.numpy())
    distances, found = nearest(queries, bank)
    assert found.tolist() == rows[:, 0].tolist()
    assert distances.dtype == torch.float64
    assert distances.numpy() == pytest.approx(known[:, 0], rel=1e-5)


@pytest.mark.usefixtures("block")
def test_a_copy_is_at_distance_zero_even_in_float32() -> None:
    bank = (points(100, 300, seed=2) + 50).float()
    distances, found = nearest(bank[30:60], bank)
    assert distances.tolist() == [0.0] * 30
    assert found.tolist() == list(range(30, 60))


@pytest.mark.usefixtures("block")
def test_a_point_can_leave_itself_out() -> None:
    bank = points(40, 4, seed=3)
    known, rows = NearestNeighbors(n_neighbors=2).fit(bank.numpy()).kneighbors(bank.numpy())
    distances, found = nearest(bank, bank, skip=torch.arange(40))
    assert found.tolist() == rows[:, 1].tolist()
    assert distances.numpy() == pytest.approx(known[:, 1], rel=1e-9)
    twice = torch.cat([bank, bank])
    assert nearest(bank, twice, skip=torch.arange(40))[0].max() == 0  # a duplicate is another point
    with pytest.raises(ValueError, match="no other point"):
        nearest(bank[:1], bank[:1], skip=torch.zeros(1, dtype=torch.int64))


@pytest.mark.usefixtures("block")
def test_radii_are_those_of_scikit_learn() -> None:
    bank = points(40, 4, seed=4)
    known, _ = NearestNeighbors(n_neighbors=6).fit(bank.numpy()).kneighbors(bank.numpy())
    assert squared_radii(bank, 5).sqrt().numpy() == pytest.approx(known[:, 5], rel=1e-9)
    assert squared_radii(torch.ones(9, 4, dtype=torch.float64), 3).tolist() == [0.0] * 9
    with pytest.raises(ValueError, match="a 5-th nearest neighbour needs 6 points, got 5"):
        squared_radii(bank[:5], 5)


@pytest.mark.usefixtures("block")
def test_balls_are_closed_and_counted_from_both_sides() -> None:
    centres = torch.tensor([[0.0, 0.0], [4.0, 0.0], [9.0, 9.0]]).double()
    queries = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]]).double()
    counts, holds, held = balls_hit(
        queries, centres, torch.tensor([1.0, 0.0, 0.25]).double(), torch.tensor([4.0, 4.0, 1.0]).double()
    )
    assert counts.tolist() == [1, 2, 0]  # the second lies on the border of two balls
    assert holds.tolist() == [True, True, False]
    assert held.tolist() == [True, False, False]  # the first centre, on the border of the first query's ball


def test_distances_are_those_written_out() -> None:
    one, two = points(9, 5, seed=5), points(7, 5, seed=6)
    known = ((one[:, None].numpy() - two[None].numpy()) ** 2).sum(-1)
    assert squared_distances(one, two).numpy() == pytest.approx(known, rel=1e-9)
    assert np.all(squared_distances(one, one).numpy() >= 0)
