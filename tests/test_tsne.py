"""The map against scikit-learn's t-SNE: formulas, and the quality of the result."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import squareform
from sklearn.datasets import load_digits
from sklearn.manifold import TSNE, trustworthiness
from sklearn.manifold._t_sne import _joint_probabilities, _kl_divergence
from torch import Tensor

from harness.tsne import affinities, map_gradient, principal_map, squared_distances, tsne


@pytest.fixture(scope="module")
def points() -> Tensor:
    return torch.from_numpy(load_digits().data[:200])


def test_affinities_are_those_of_scikit_learn(points: Tensor) -> None:
    distances = squared_distances(points)
    expected = squareform(_joint_probabilities(distances.numpy().astype(np.float32), 30, 0))
    np.testing.assert_allclose(affinities(distances, 30).numpy(), expected, atol=1e-6)


def test_gradient_is_that_of_scikit_learn(points: Tensor) -> None:
    near = affinities(squared_distances(points), 30)
    place = torch.randn(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    _, expected = _kl_divergence(place.numpy().ravel(), squareform(near.numpy(), checks=False), 1.0, 200, 2)
    np.testing.assert_allclose(map_gradient(place, near).numpy().ravel(), expected, atol=1e-7)


def test_the_map_is_as_trustworthy_as_scikit_learns(points: Tensor) -> None:
    ours = tsne(points)
    theirs = TSNE(init="pca", random_state=0, max_iter=500).fit_transform(points.numpy())
    assert trustworthiness(points.numpy(), ours.numpy()) > trustworthiness(points.numpy(), theirs) - 0.02
    assert torch.equal(ours, tsne(points))


def test_the_start_is_pca(points: Tensor) -> None:
    centred = points - points.mean(0)
    start = principal_map(points)
    values = torch.linalg.svd(centred)[1][:2]
    torch.testing.assert_close(start.norm(dim=0) / start.norm(dim=0)[0], values / values[0])
    assert float(start[:, 0].std()) == pytest.approx(1e-4)


@pytest.mark.parametrize("points", [torch.zeros(6, 3), torch.randn(4, 1), torch.eye(5)])
def test_degenerate_points_still_have_finite_places(points: Tensor) -> None:
    assert torch.isfinite(tsne(points, steps=50)).all()


def test_too_few_points() -> None:
    with pytest.raises(ValueError, match="at least 4 points, got 3"):
        tsne(torch.zeros(3, 2))
