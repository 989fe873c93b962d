"""Fréchet and kernel distances against closed forms, scipy's matrix root and torchmetrics, and the whole evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from example_subject import LinearCode, digits_dataset, example_subject
from PIL import Image
from scipy.linalg import sqrtm
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from harness.data.images import ImageDataset
from harness.errors import NotApplicable, TrainingFailed
from harness_plugins.evaluations import fid
from harness_plugins.evaluations.fid import frechet_distance, kernel_distance


def gaussian(n: int, features: int, *, seed: int, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, features, generator=generator, dtype=torch.float64) * scale + shift


def exactly(mean: torch.Tensor, covariance: torch.Tensor, n: int, seed: int) -> torch.Tensor:
    """n rows whose sample mean and sample covariance are the given ones."""
    rows = gaussian(n, len(mean), seed=seed)
    rows = rows - rows.mean(0)
    rows = rows @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(rows.T))).T
    return rows @ torch.linalg.cholesky(covariance).T + mean


@pytest.fixture(scope="module")
def data() -> ImageDataset:
    return digits_dataset()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the tests of this file, so that the extractor is trained once."""
    return tmp_path_factory.mktemp("fid")


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
    monkeypatch.setattr(fid, "BLOCK", 64)  # the number of blocks is no matter
    assert kernel_distance(one, two) == pytest.approx(found, rel=1e-12)
    with pytest.raises(ValueError, match="needs two images"):
        kernel_distance(one[:1], two)


class Projection(nn.Module):
    """Features of grey 8x8 images for torchmetrics: a fixed random layer, in float64."""

    num_features = 24

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(gaussian(64, self.num_features, seed=10, scale=0.01), requires_grad=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.tanh(images.flatten(1).double() / 16 @ self.weight)


@pytest.mark.filterwarnings("ignore::UserWarning")  # torchmetrics on the memory that its buffers take
def test_distances_agree_with_torchmetrics(data: ImageDataset) -> None:
    real, other = data.test.images, data.train.images[:300].flip(-1)
    features = Projection()
    frechet = FrechetInceptionDistance(feature=features)
    kernel = KernelInceptionDistance(feature=features, subsets=1, subset_size=300)
    for metric in (frechet, kernel):
        metric.update(real[:300], real=True)
        metric.update(other, real=False)
    one, two = features(other), features(real[:300])
    assert frechet_distance(one, two) == pytest.approx(float(frechet.compute()), rel=1e-5)
    assert kernel_distance(one, two) == pytest.approx(float(kernel.compute()[0]), rel=1e-5)


class Replay(LinearCode):
    """Gives real images as its samples: as good as a generator can be."""

    def __init__(self, images: torch.Tensor) -> None:
        super().__init__(images, dim=2)
        self.images = images.float() / 255

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        return self.images[torch.randperm(len(self.images), generator=generator)[:n]]


def test_evaluation_ranks_generators_and_names_its_extractor(data: ImageDataset, folder: Path) -> None:
    config = fid.Config()
    real = fid.run(example_subject(Replay(data.train.images), data, folder), config)
    good = fid.run(example_subject(LinearCode(data.train.images, 30), data, folder), config)
    poor = fid.run(example_subject(LinearCode(data.train.images, 2), data, folder), config)
    for name in ("frechet_distance", "kernel_distance"):
        assert real[name].value < good[name].value < poor[name].value
    assert real["frechet_distance"].value < 2 * real["frechet_floor"].value < 0.5 * good["frechet_distance"].value
    assert abs(real["kernel_distance"].value) < 0.1 * good["kernel_distance"].value
    assert good["frechet_floor"] == poor["frechet_floor"]
    assert {score.n for score in good.values()} == {len(data.test)}
    note = good["frechet_distance"].note
    assert note.startswith("in-domain classifier ")
    assert "64 features" in note
    assert note.endswith(f"floor {good['frechet_floor'].value:.3g} at n={len(data.test)}")


def test_evaluation_is_deterministic_and_shows_samples(data: ImageDataset, folder: Path) -> None:
    method = LinearCode(data.train.images, 10)
    subject = example_subject(method, data, folder)
    first = fid.run(subject, fid.Config(n=100))
    torch.rand(3)  # the global generator is no matter
    assert fid.run(example_subject(method, data, folder), fid.Config(n=100)) == first
    assert {score.n for score in first.values()} == {100}
    other_seed = fid.run(example_subject(method, data, folder, seed=1), fid.Config(n=100))
    assert other_seed["frechet_distance"].value != first["frechet_distance"].value
    assert [picture.name for picture in subject.pictures] == ["samples", "real"]
    with Image.open(subject.pictures[0].file) as picture:
        assert picture.size == (8 * 9 - 1, 8 * 9 - 1)


def test_what_cannot_be_judged_says_why(
    data: ImageDataset, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = LinearCode(data.train.images, 4)
    bare = replace(
        data,
        spec=replace(data.spec, classes=()),
        train=replace(data.train, labels=None),
        validation=replace(data.validation, labels=None),
        test=replace(data.test, labels=None),
    )
    with pytest.raises(NotApplicable, match=r"digits has no labels .*fid\[extractor=inception\]"):
        fid.run(example_subject(method, bare, folder), fid.Config())
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(NotApplicable, match=r"no Inception weights: put weights-inception.* or choose fid"):
        fid.run(example_subject(method, data, folder), fid.Config(extractor="inception"))
    with pytest.raises(ValueError, match="n must be at least 2"):
        fid.Config(n=1)


def test_unusable_samples_are_failures(data: ImageDataset, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = LinearCode(data.train.images, 4)
    subject = example_subject(method, data, folder)
    monkeypatch.setattr(method, "sample", lambda n, generator: torch.zeros(n, 3, 8, 8))
    with pytest.raises(TrainingFailed, match=r"sample\(\) gave \(256, 3, 8, 8\), expected \(256, 1, 8, 8\)"):
        fid.run(subject, fid.Config(n=100))
    monkeypatch.setattr(method, "sample", lambda n, generator: torch.full((n, 1, 8, 8), float("nan")))
    with pytest.raises(TrainingFailed, match="not finite"):
        fid.run(subject, fid.Config(n=100))
