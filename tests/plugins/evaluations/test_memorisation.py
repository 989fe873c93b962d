"""Planted copies are caught, held-out images are not; the scores against distances written out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from example_subject import LinearCode, digits_dataset, example_subject
from PIL import Image
from scipy.spatial.distance import cdist

from harness.data.rows import Dataset
from harness.errors import NotApplicable
from harness.records import ScoreValue
from harness_plugins.evaluations import memorisation
from harness_plugins.evaluations.memorisation import compared, nearness, pixels

CPU = torch.device("cpu")
Scores = dict[str, ScoreValue]


class Replay(LinearCode):
    """Gives images that it was told as its samples, with noise or without."""

    def __init__(self, images: torch.Tensor, noise: float = 0.0) -> None:
        super().__init__(images, dim=2)
        self.images, self.noise = images.float() / 255, noise

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        images = self.images[torch.randint(len(self.images), (n,), generator=generator)]
        return (images + self.noise * torch.randn(images.shape, generator=generator)).clamp(0, 1)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits_dataset()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all tests, so that the extractor of the digits is trained once."""
    return tmp_path_factory.getbasetemp() / "digits"


def judged(method: LinearCode, data: Dataset, folder: Path, space: Literal["pixels", "features"]) -> Scores:
    return memorisation.run(example_subject(method, data, folder), memorisation.Config(space=space))


@pytest.mark.parametrize("space", ["pixels", "features"])
def test_planted_copies_are_caught(data: Dataset, folder: Path, space: Literal["pixels", "features"]) -> None:
    exact = judged(Replay(data.train.values), data, folder, space)
    assert exact["copies"].value == 1.0
    assert exact["nearest_ratio"].value == pytest.approx(0, abs=1e-6)
    assert exact["authenticity_gap"].value < -0.4
    noisy = judged(Replay(data.train.values, noise=0.03), data, folder, space)
    assert noisy["copies"].value > 0.9
    assert noisy["nearest_ratio"].value < 0.4
    assert noisy["authenticity_gap"].value < -0.4
    half = torch.cat([data.train.values[:200], data.validation.values[:200].flip(-1)])
    assert judged(Replay(half), data, folder, space)["copies"].value == pytest.approx(0.5, abs=0.1)
    assert exact["copies"].note.startswith("pixels; within" if space == "pixels" else "in-domain classifier ")


@pytest.mark.parametrize("space", ["pixels", "features"])
def test_held_out_images_are_no_copies(data: Dataset, folder: Path, space: Literal["pixels", "features"]) -> None:
    for images in (data.validation.values, data.test.values):  # neither was trained on
        unseen = judged(Replay(images), data, folder, space)
        assert unseen["copies"].value < 0.06
        assert unseen["nearest_ratio"].value == pytest.approx(1, abs=0.15)
        assert abs(unseen["authenticity_gap"].value) < 0.12
    assert judged(LinearCode(data.train.values, 30), data, folder, space)["copies"].value == 0.0  # like no image


def test_scores_are_the_definitions() -> None:
    generator = torch.Generator().manual_seed(0)
    train, held_out, samples = (torch.rand(n, 6, generator=generator).double() for n in (90, 40, 30))
    samples[:9] = train[:9] + 0.01
    found = compared(nearness(samples, train), nearness(held_out, train), "space")

    def distances(images: torch.Tensor) -> np.ndarray:
        return cdist(images.numpy(), train.numpy()).min(1)

    def authentic(images: torch.Tensor) -> float:
        between = cdist(train.numpy(), train.numpy())
        np.fill_diagonal(between, np.inf)
        from_train = cdist(images.numpy(), train.numpy())
        return float(np.mean(from_train.min(1) > between.min(1)[from_train.argmin(1)]))

    threshold = np.quantile(distances(held_out), 0.01, method="lower")
    assert found["copies"].value == pytest.approx(np.mean(distances(samples) <= threshold))
    assert found["copies"].value >= 0.3
    assert found["copies"].chance == pytest.approx(1 / 40)
    assert found["nearest_ratio"].value == pytest.approx(
        float(torch.tensor(distances(samples)).median() / torch.tensor(distances(held_out)).median()), rel=1e-9
    )
    assert found["authenticity_gap"].value == pytest.approx(authentic(samples) - authentic(held_out))


def test_copies_are_counted_where_test_images_are_copies_themselves() -> None:
    """A dataset with few different images: every test image is a training image, and so is every sample."""
    train = torch.eye(8).repeat(5, 1)
    found = compared(nearness(train[:10], train), nearness(train[10:20], train), "space")
    assert found["copies"].value == found["copies"].chance == 1.0
    assert found["authenticity_gap"].value == 0
    assert "nearest_ratio" not in found  # 0 / 0


def test_pixels_are_averaged_down() -> None:
    images = torch.randint(256, (3, 2, 32, 32), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    squares = images.double().view(3, 2, 16, 2, 16, 2).mean((3, 5)) / 255
    assert torch.allclose(pixels(CPU)(images).double(), squares.flatten(1), atol=1e-6)
    assert pixels(CPU)(images[..., :28, :28]).shape == (3, 2 * 14 * 14)
    small = images[..., :8, :8]
    assert torch.equal(pixels(CPU)(small), small.flatten(1) / 255)


def test_the_nearest_samples_are_shown_with_their_neighbours(data: Dataset, folder: Path) -> None:
    planted = data.train.values[:100]
    subject = example_subject(Replay(torch.cat([planted, 255 - data.train.values])), data, folder)
    memorisation.run(subject, memorisation.Config())
    (shown,) = subject.pictures
    assert shown.name == "nearest_training"
    with Image.open(shown.file) as picture:
        pixels_shown = torch.from_numpy(np.array(picture))
    assert pixels_shown.shape == (2 * 9 - 1, 10 * 9 - 1)
    assert torch.equal(pixels_shown[:8], pixels_shown[9:])  # ten copies, above what they copy


def test_without_labels_features_are_those_of_an_encoder_of_the_images(data: Dataset, folder: Path) -> None:
    bare = replace(
        data,
        spec=replace(data.spec, classes=()),
        train=replace(data.train, labels=None),
        validation=replace(data.validation, labels=None),
        test=replace(data.test, labels=None),
    )
    found = judged(Replay(data.train.values), bare, folder, "features")
    assert found["copies"].value == 1.0
    assert found["copies"].note.startswith("label-free encoder ")


def test_the_evaluation_is_deterministic_and_judges_the_source_alone(data: Dataset, folder: Path) -> None:
    method = LinearCode(data.train.values, 30)

    def run() -> Scores:
        return memorisation.run(example_subject(method, data, folder), memorisation.Config(n=100))

    first = run()
    torch.rand(3)  # the global generator is no matter
    assert run() == first
    assert set(first) == {score.name for score in memorisation.harness_evaluation().scores}
    assert {score.n for score in first.values()} == {100}
    subject = example_subject(method, data, folder)
    subject.target = replace(data, name="letters")
    with pytest.raises(NotApplicable, match="judge memorisation on digits"):
        memorisation.run(subject, memorisation.Config())
    with pytest.raises(ValueError, match="n must be at least 2"):
        memorisation.Config(n=1)
