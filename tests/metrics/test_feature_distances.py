"""Fréchet, kernel and sliced Wasserstein distances against closed forms, scipy's matrix root and torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.stats import wasserstein_distance
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from harness.metrics import feature_distances
from harness.metrics.feature_distances import (
    debiased_frechet_distance,
    frechet_distance,
    kernel_distance,
    sliced_wasserstein_distance,
    unit_directions,
)


def gaussian(n: int, features: int, *, seed: int, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, features, generator=generator, dtype=torch.float64) * scale + shift


def exactly(mean: torch.Tensor, covariance: torch.Tensor, n: int, seed: int) -> torch.Tensor:
    """n rows whose sample mean and sample covariance are the given ones."""
    rows = gaussian(n, len(mean), seed=seed)
    rows = rows - rows.mean(0)
    rows = rows @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(rows.T))).T
    return rows @ torch.linalg.cholesky(covariance).T + mean


def test_frechet_distance_of_gaussians_with_diagonal_covariances() -> None:
    mean_one, mean_two = torch.tensor([0.0, 1.0, -2.0]).double(), torch.tensor([1.0, 1.0, 0.0]).double()
    variance_one, variance_two = torch.tensor([1.0, 4.0, 0.25]).double(), torch.tensor([9.0, 4.0, 1.0]).double()
    known = (mean_one - mean_two).square().sum() + (variance_one.sqrt() - variance_two.sqrt()).square().sum()
    one = exactly(mean_one, variance_one.diag(), 50, seed=1)
    two = exactly(mean_two, variance_two.diag(), 80, seed=2)
    assert frechet_distance(one, two) == pytest.approx(float(known), rel=1e-10)


@pytest.mark.parametrize(("n", "m", "features"), [(200, 300, 16), (20, 30, 64), (40, 500, 64)])
def test_frechet_distance_agrees_with_the_matrix_root(n: int, m: int, features: int) -> None:
    mixing = gaussian(features, features, seed=3)
    one, two = gaussian(n, features, seed=4) @ mixing, gaussian(m, features, seed=5, shift=0.1)
    cov_one, cov_two = np.cov(one.numpy(), rowvar=False), np.cov(two.numpy(), rowvar=False)
    root_one = np.real(sqrtm(cov_one + 1e-12 * np.eye(features)))
    values = np.linalg.eigvalsh(root_one @ cov_two @ root_one).clip(0)
    known = ((one.mean(0) - two.mean(0)) ** 2).sum().item() + np.trace(cov_one) + np.trace(cov_two)
    known -= 2 * np.sqrt(values).sum()
    assert frechet_distance(one, two) == pytest.approx(known, rel=1e-5)  # also with fewer images than features


def test_frechet_distance_is_zero_symmetric_and_blind_to_order() -> None:
    one, two = gaussian(100, 32, seed=6), gaussian(120, 32, seed=7, scale=2.0)
    assert frechet_distance(one, one) == pytest.approx(0.0, abs=1e-10)
    assert frechet_distance(one[:10], one[:10]) == pytest.approx(0.0, abs=1e-10)  # fewer images than features
    assert frechet_distance(one, two) == pytest.approx(frechet_distance(two, one), rel=1e-12)
    assert frechet_distance(one.flip(0), two) == pytest.approx(frechet_distance(one, two), rel=1e-12)
    shifted = frechet_distance(one + 3.0, one)
    assert shifted == pytest.approx(32 * 9.0)
    with pytest.raises(ValueError, match="needs two images"):
        frechet_distance(one[:1], two)


def test_frechet_bias_is_what_theory_gives() -> None:
    """Two samples of one Gaussian: about (d(d+1)/4 + d)(1/n + 1/m), d features; why the floor is printed."""
    d, n = 32, 2000
    found = np.mean([frechet_distance(gaussian(n, d, seed=s), gaussian(n, d, seed=100 + s)) for s in range(5)])
    assert found == pytest.approx((d * (d + 1) / 4 + d) * 2 / n, rel=0.1)


def test_kernel_distance_is_the_double_sum() -> None:
    one, two = gaussian(7, 3, seed=8), gaussian(5, 3, seed=9, shift=0.5)

    def k(x: torch.Tensor, y: torch.Tensor) -> float:
        return float((x @ y / 3 + 1) ** 3)

    within_one = sum(k(x, y) for i, x in enumerate(one) for j, y in enumerate(one) if i != j) / (7 * 6)
    within_two = sum(k(x, y) for i, x in enumerate(two) for j, y in enumerate(two) if i != j) / (5 * 4)
    across = sum(k(x, y) for x in one for y in two) / (7 * 5)
    assert kernel_distance(one, two) == pytest.approx(within_one + within_two - 2 * across, rel=1e-12)
    assert kernel_distance(one, two) == pytest.approx(kernel_distance(two, one), rel=1e-12)


def test_kernel_distance_is_unbiased_and_finds_a_shift(monkeypatch: pytest.MonkeyPatch) -> None:
    same = [kernel_distance(gaussian(300, 8, seed=s), gaussian(300, 8, seed=50 + s)) for s in range(20)]
    error = float(np.std(same) / np.sqrt(len(same)))
    assert abs(np.mean(same)) < 3 * error
    assert min(same) < 0 < max(same)
    one, two = gaussian(300, 8, seed=1), gaussian(300, 8, seed=2, shift=0.5)
    found = kernel_distance(one, two)
    assert found > 10 * float(np.std(same))
    monkeypatch.setattr(feature_distances, "BLOCK", 64)  # the number of blocks is no matter
    assert kernel_distance(one, two) == pytest.approx(found, rel=1e-12)
    with pytest.raises(ValueError, match="needs two images"):
        kernel_distance(one[:1], two)


def test_the_jackknife_removes_the_bias() -> None:
    """Two samples of one Gaussian are 0 apart, within four standard errors; the plain distance is biased."""
    pairs = [(gaussian(400, 32, seed=s), gaussian(400, 32, seed=100 + s)) for s in range(20)]
    plain = np.array([frechet_distance(*pair) for pair in pairs])
    debiased = np.array([debiased_frechet_distance(*pair) for pair in pairs])
    assert plain.mean() > 1.2
    assert abs(debiased.mean()) < 4 * debiased.std() / len(pairs) ** 0.5
    assert debiased.std() < 1.6 * plain.std()


def test_the_jackknife_keeps_what_is_no_bias() -> None:
    variance = torch.linspace(0.5, 2, 8).double()
    known = 8 * 0.25 + float((variance.sqrt() - 1).square().sum())
    pairs = [(gaussian(500, 8, seed=s), gaussian(500, 8, seed=50 + s) * variance.sqrt() + 0.5) for s in range(20)]
    found = np.array([debiased_frechet_distance(*pair) for pair in pairs])
    assert abs(found.mean() - known) < 4 * found.std() / len(pairs) ** 0.5 < 0.1 * known
    one, two = pairs[0]
    assert debiased_frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    assert debiased_frechet_distance(one, two) == pytest.approx(debiased_frechet_distance(two, one), rel=1e-9)


def test_the_jackknife_is_a_line_through_two_numbers_of_images() -> None:
    """Ten groups left out in turn, written out, and the straight line in 1/N by least squares."""
    one, two = gaussian(50, 4, seed=13), gaussian(50, 4, seed=14, scale=1.5)
    full = frechet_distance(one, two)
    fewer = []
    for group in range(10):
        kept = torch.tensor([row for row in range(50) if row // 5 != group])
        fewer.append(frechet_distance(one[kept], two[kept]))
    _, at_infinity = np.polyfit([1 / 50, 1 / 45], [full, np.mean(fewer)], 1)
    assert debiased_frechet_distance(one, two) == pytest.approx(at_infinity, rel=1e-9)
    with pytest.raises(ValueError, match="needs 20 images, got 19 and 50"):
        debiased_frechet_distance(one[:19], two)


def test_sliced_wasserstein_is_the_mean_over_sorted_projections(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = gaussian(60, 5, seed=15), gaussian(60, 5, seed=16, scale=2.0, shift=0.3)
    directions = unit_directions(5, torch.Generator().manual_seed(0))
    assert directions.shape == (1000, 5)
    assert torch.allclose(directions.norm(dim=1), torch.ones(1000, dtype=torch.float64))
    squares = []
    for direction in directions.numpy():
        left, right = np.sort(one.numpy() @ direction), np.sort(two.numpy() @ direction)
        squares.append(np.mean((left - right) ** 2))
        assert np.mean(np.abs(left - right)) == pytest.approx(wasserstein_distance(left, right), rel=1e-9)  # W1
    found = sliced_wasserstein_distance(one, two, directions)
    assert found == pytest.approx(5 * np.mean(squares), rel=1e-9)
    monkeypatch.setattr(feature_distances, "PROJECTED", 60 * 7)  # the number of blocks is no matter
    assert sliced_wasserstein_distance(one, two, directions) == pytest.approx(found, rel=1e-12)


def test_sliced_wasserstein_has_the_scale_of_a_frechet_distance() -> None:
    """A shift by v counts |v|^2 up to the mean over directions; scaling by s counts (s-1)^2 of the total variance."""
    one = gaussian(500, 16, seed=17)
    directions = unit_directions(16, torch.Generator().manual_seed(1))
    shift = torch.linspace(-1, 1, 16).double()
    assert sliced_wasserstein_distance(one, one + shift, directions) == pytest.approx(float(shift @ shift), rel=0.1)
    scaled = sliced_wasserstein_distance(one - one.mean(0), 2 * (one - one.mean(0)), directions)
    assert scaled == pytest.approx(float(one.var(0).sum()), rel=0.05)
    assert sliced_wasserstein_distance(one, one.flip(0), directions) == pytest.approx(0, abs=1e-12)
    forth, back = (sliced_wasserstein_distance(*pair, directions) for pair in ((one, one**2), (one**2, one)))
    assert forth == pytest.approx(back, rel=1e-12)
    with pytest.raises(ValueError, match="as many of both, got 500 and 499"):
        sliced_wasserstein_distance(one, one[1:], directions)


class Projection(nn.Module):
    """Features of grey 8x8 images for torchmetrics: a fixed random layer, in float64."""

    num_features = 24

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(gaussian(64, self.num_features, seed=10, scale=0.01), requires_grad=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.tanh(images.flatten(1).double() / 16 @ self.weight)


@pytest.mark.filterwarnings("ignore::UserWarning")  # torchmetrics on the memory that its buffers take
def test_distances_agree_with_torchmetrics() -> None:
    generator = torch.Generator().manual_seed(18)
    real = torch.randint(17, (300, 1, 8, 8), generator=generator, dtype=torch.uint8)
    other = (torch.randint(17, (300, 1, 8, 8), generator=generator) // 2 + 3).to(torch.uint8)
    features = Projection()
    frechet = FrechetInceptionDistance(feature=features)
    kernel = KernelInceptionDistance(feature=features, subsets=1, subset_size=300)
    for metric in (frechet, kernel):
        metric.update(real, real=True)
        metric.update(other, real=False)
    one, two = features(other), features(real)
    assert frechet_distance(one, two) == pytest.approx(float(frechet.compute()), rel=1e-5)
    assert kernel_distance(one, two) == pytest.approx(float(kernel.compute()[0]), rel=1e-5)
