"""Distances against scikit-learn and scipy, AUROC and FPR95 against scikit-learn's curve."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from harness.metrics.features import normalised
from harness.metrics.novelty import false_alarms_at, gaussians_of, kth_distance, shrunk_covariance, told_apart


def drawn(n: int, dim: int, seed: int) -> Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_kth_distance_is_that_of_scikit_learn() -> None:
    bank, queries = drawn(200, 6, 0), drawn(30, 6, 1)
    theirs = NearestNeighbors(n_neighbors=7).fit(normalised(bank).numpy())
    expected = theirs.kneighbors(normalised(queries).numpy())[0][:, -1]
    np.testing.assert_allclose(kth_distance(queries, bank, 7).numpy(), expected, atol=1e-6)
    assert kth_distance(bank[:3], bank, 1).tolist() == pytest.approx([0.0] * 3, abs=1e-6)
    assert kth_distance(queries, bank[:4], 50).shape == (30,)  # a bank of four


@pytest.mark.parametrize("shape", [(300, 5), (20, 40)])
def test_shrinkage_is_that_of_scikit_learn(shape: tuple[int, int]) -> None:
    features = drawn(*shape, 0) * torch.linspace(0.5, 3, shape[1])
    covariance, alpha = shrunk_covariance(features)
    theirs = LedoitWolf(assume_centered=True).fit(features.numpy())
    assert alpha == pytest.approx(theirs.shrinkage_)
    np.testing.assert_allclose(covariance.numpy(), theirs.covariance_, atol=1e-10)
    assert shrunk_covariance(features, 1.0)[0][0, 1] == 0.0
    nothing, one = shrunk_covariance(torch.zeros(4, 2))
    assert torch.equal(nothing, torch.eye(2))
    assert one == 1.0


def test_mahalanobis_distances_are_those_of_scipy() -> None:
    labels = torch.arange(120) % 3
    features = drawn(120, 4, 0) + 3.0 * labels[:, None]
    queries = drawn(10, 4, 1)
    fitted = gaussians_of(features, labels + 5)  # the names of classes do not matter
    means = torch.stack([features[labels == k].mean(0) for k in range(3)])
    within, alpha = shrunk_covariance(features - means[labels])
    inverse = np.linalg.inv(within.numpy())
    each = cdist(queries.numpy(), means.numpy(), "mahalanobis", VI=inverse) ** 2
    np.testing.assert_allclose(fitted.distance(queries).numpy(), each.min(1), rtol=1e-9)
    total, _ = shrunk_covariance(features - features.mean(0), alpha)
    inverse = np.linalg.inv(total.numpy())
    whole = cdist(queries.numpy(), features.mean(0)[None].numpy(), "mahalanobis", VI=inverse)[:, 0] ** 2
    np.testing.assert_allclose(fitted.relative_distance(queries).numpy(), each.min(1) - whole, rtol=1e-8)


def test_what_lies_far_where_training_hardly_varies_is_novel_by_the_relative_distance_too() -> None:
    labels = torch.arange(200) % 2
    features = drawn(200, 30, 0) * torch.tensor([1.0] * 5 + [1e-3] * 25)
    features[:, 0] += 6.0 * labels
    far = features[:20].clone()
    far[:, 29] += 50.0
    fitted = gaussians_of(features, labels)
    assert fitted.relative_distance(far).min() > fitted.relative_distance(features).max()


def test_auroc_and_fpr95_are_those_of_the_roc_curve() -> None:
    inside = (2 * drawn(300, 1, 0)[:, 0]).round() / 2  # with ties
    outside = (2 * drawn(200, 1, 1)[:, 0] + 2).round() / 2
    truth = [0] * 300 + [1] * 200
    scores = torch.cat([inside, outside]).numpy()
    assert float(told_apart(inside, outside).mean()) == pytest.approx(roc_auc_score(truth, scores))
    # inside is the positive class of the FPR at a TPR of 95 %, and the less novel the surer
    false, true, _ = roc_curve([1 - t for t in truth], -scores, drop_intermediate=False)
    assert false_alarms_at(inside, outside) == pytest.approx(false[np.argmax(true >= 0.95)])


def test_limits_of_telling_apart() -> None:
    low, high = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    assert told_apart(low, high).tolist() == [1.0, 1.0]
    assert told_apart(high, low).tolist() == [0.0, 0.0]
    assert told_apart(low, low.clone()).mean() == 0.5
    assert false_alarms_at(low, high) == 0.0
    assert false_alarms_at(high, low) == 1.0
    assert false_alarms_at(torch.ones(1), torch.ones(3)) == 1.0
