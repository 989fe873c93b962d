"""Reconstruction scores against the known error of principal components."""

from __future__ import annotations

from math import log10
from pathlib import Path

import numpy as np
import pytest
import torch
from example_subject import LinearCode, digits_dataset, example_subject
from PIL import Image

from harness.data.images import to_float
from harness.data.rows import Dataset
from harness.errors import TrainingFailed
from harness_plugins.evaluations import reconstruction


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits_dataset()


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
