"""Reconstruction scores against torchmetrics, a plain double loop and the known error of principal components."""

from __future__ import annotations

from math import exp, log10
from pathlib import Path

import numpy as np
import pytest
import torch
from example_subject import LinearCode, digits_dataset, example_subject
from PIL import Image
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from harness.data.images import to_float
from harness.data.rows import Dataset
from harness.errors import TrainingFailed
from harness.metrics.similarity import peak_signal_to_noise, squared_error, ssim_window, structural_similarity
from harness_plugins.evaluations import reconstruction

GENERATOR = torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits_dataset()


def noisy_pair(shape: tuple[int, ...], noise: float = 0.2) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(shape, generator=GENERATOR)
    return images, (images + noise * torch.randn(shape, generator=GENERATOR)).clamp(0, 1)


@pytest.mark.parametrize("shape", [(6, 1, 28, 28), (4, 3, 32, 32), (3, 3, 11, 11)])
def test_similarity_agrees_with_torchmetrics(shape: tuple[int, ...]) -> None:
    one, two = noisy_pair(shape)
    theirs = peak_signal_noise_ratio(two, one, data_range=1.0, dim=(1, 2, 3), reduction="none")
    torch.testing.assert_close(peak_signal_to_noise(squared_error(one, two)), theirs.double(), atol=1e-4, rtol=0)
    # torchmetrics reflects the border, then cuts it off where it returns the mean of the whole map: compare insides
    _, whole = structural_similarity_index_measure(two.double(), one.double(), data_range=1.0, return_full_image=True)
    inside = whole[..., 5:-5, 5:-5].flatten(1).mean(1)
    torch.testing.assert_close(structural_similarity(one, two), inside, atol=1e-5, rtol=0)


def test_ssim_on_small_images_is_the_formula_position_by_position() -> None:
    one, two = (part.double() for part in noisy_pair((1, 1, 8, 8)))
    window = ssim_window(8, 8)
    line = torch.tensor([exp(-0.5 * ((place - 3) / 1.5) ** 2) for place in range(window)], dtype=torch.float64)
    weights = torch.outer(line, line) / line.sum() ** 2
    values = []
    for top in range(8 - window + 1):
        for left in range(8 - window + 1):
            x = one[0, 0, top : top + window, left : left + window]
            y = two[0, 0, top : top + window, left : left + window]
            mx, my = (weights * x).sum(), (weights * y).sum()
            sx, sy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
            sxy = (weights * (x - mx) * (y - my)).sum()
            values.append((2 * mx * my + 1e-4) * (2 * sxy + 9e-4) / ((mx**2 + my**2 + 1e-4) * (sx + sy + 9e-4)))
    torch.testing.assert_close(structural_similarity(one, two), torch.stack(values).mean()[None])


def test_similarity_of_equal_and_of_opposite_images() -> None:
    images, _ = noisy_pair((2, 3, 16, 16))
    torch.testing.assert_close(structural_similarity(images, images), torch.ones(2, dtype=torch.float64))
    assert peak_signal_to_noise(squared_error(images, images)).tolist() == [100.0, 100.0]
    assert (structural_similarity(images, 1 - images) < 0).all()
    black, white = torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16)
    assert float(squared_error(black, white)) == 1.0
    assert float(peak_signal_to_noise(squared_error(black, white))) == 0.0
    one, two = noisy_pair((5, 1, 12, 12))
    torch.testing.assert_close(structural_similarity(one, two), structural_similarity(two, one))


def test_scores_of_principal_components(data: Dataset, tmp_path: Path) -> None:
    method = LinearCode(data.test.values, dim=8)
    scores = reconstruction.run(example_subject(method, data, tmp_path), reconstruction.Config())
    pixels = data.test.values.flatten(1).double() / 255
    rebuilt = method.reconstruct(to_float(data.test.values)).clamp(0, 1).flatten(1).double()
    error = (pixels - rebuilt).square().mean(1)
    assert scores["mse"].value == pytest.approx(float(error.mean()), rel=1e-5)
    assert scores["psnr"].value == pytest.approx(sum(-10 * log10(value) for value in error.tolist()) / len(error))
    assert scores["compression_ratio"].value == pytest.approx(8 * 64 / (32 * 8))
    assert "7x7" in scores["ssim"].note
    exact = reconstruction.run(
        example_subject(LinearCode(data.test.values, dim=64), data, tmp_path), reconstruction.Config()
    )
    assert exact["mse"].value < 1e-12
    assert exact["ssim"].value == pytest.approx(1.0, abs=1e-6)


def pixels_of(file: str) -> torch.Tensor:
    """A grey picture as integers (H',W')."""
    with Image.open(file) as picture:
        return torch.from_numpy(np.array(picture)).long()


def test_pictures_have_inputs_above_reconstructions(data: Dataset, tmp_path: Path) -> None:
    subject = example_subject(LinearCode(data.test.values, dim=64), data, tmp_path)
    reconstruction.run(subject, reconstruction.Config(shown=6, steps=8))
    assert [picture.name for picture in subject.pictures] == ["reconstructions", "interpolation"]
    grid = pixels_of(subject.pictures[0].file)
    assert grid.shape == (2 * 9 - 1, 6 * 9 - 1)
    assert (grid[:8] - grid[9:]).abs().max() <= 1  # 64 components of 64 pixels lose nothing
    rows = pixels_of(subject.pictures[1].file)
    assert rows.shape == (3 * 9 - 1, 8 * 9 - 1)
    ends = reconstruction.spread(data.test.values, 6)
    assert (rows[:8, :8] - ends[0, 0]).abs().max() <= 1
    assert (rows[:8, -8:] - ends[1, 0]).abs().max() <= 1


class Broken(LinearCode):
    """A model that gives what `output` makes of its reconstruction."""

    output = staticmethod(lambda images: images)

    def reconstruct(self, images: torch.Tensor) -> torch.Tensor:
        return self.output(super().reconstruct(images))


def test_unusable_reconstructions_are_failures(data: Dataset, tmp_path: Path) -> None:
    method = Broken(data.test.values, dim=2)
    subject = example_subject(method, data, tmp_path)
    method.output = lambda images: images.flatten(1)
    with pytest.raises(TrainingFailed, match=r"reconstruct\(\) gave \(\d+, 64\), expected \(\d+, 1, 8, 8\)"):
        reconstruction.run(subject, reconstruction.Config())
    method.output = lambda images: images / 0
    with pytest.raises(TrainingFailed, match="not finite"):
        reconstruction.run(subject, reconstruction.Config())
    with pytest.raises(TrainingFailed, match=r"code_bits\(\) gave 0"):
        reconstruction.compression_ratio(data.test.values, bits=0.0)
    with pytest.raises(ValueError, match="at least 2"):
        reconstruction.Config(steps=1)


def test_small_test_split_shows_what_there_is() -> None:
    images = torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1)
    assert reconstruction.spread(images, 10).flatten().tolist() == [0, 1, 2]
    assert reconstruction.spread(images, 2).flatten().tolist() == [0, 2]
