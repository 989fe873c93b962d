"""Trainings that gave nothing of use: found, with the reason, and never too early."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from harness.data.rows import Dataset
from harness.data.splits import split_dataset
from harness.errors import TrainingFailed
from harness.judging.diagnosis import EARLIEST, centred, check_training, variety
from harness_plugins.datasets import digits


class Sampler(nn.Module):
    """Samples one image with so much noise, on request for labels."""

    def __init__(self, noise: float, condition: str = "") -> None:
        super().__init__()
        self.noise = noise
        self.condition = condition

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return (0.5 + self.noise * torch.randn(n, 1, 8, 8, generator=generator)).clamp(0, 1)

    def sample_as(self, condition: Tensor, generator: torch.Generator) -> Tensor:
        assert condition.dtype == torch.int64
        return self.sample(len(condition), generator)


class OneOfEachClass(nn.Module):
    """Draws each class in one way, with so much noise."""

    condition = "labels"

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.noise = noise

    def sample_as(self, condition: Tensor, generator: torch.Generator) -> Tensor:
        images = torch.rand(10, 1, 8, 8, generator=torch.Generator().manual_seed(0))[condition]
        return images + self.noise * torch.randn(images.shape, generator=generator)


class Confessing(nn.Module):
    def diagnose(self, images: Tensor) -> str:
        assert not self.training
        return f"the codebook is dead, by {len(images)} images"


@pytest.fixture(scope="module")
def data() -> Dataset:
    raw = digits.load(digits.Config(), Path())
    return split_dataset("digits", raw, digits.describe(digits.Config(), Path()), 0)


def check(method: nn.Module, data: Dataset, steps: int = EARLIEST) -> None:
    check_training(method, data, steps=steps, seed=0, device="cpu")


def test_variety_is_the_variance_between_images() -> None:
    assert variety(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 3, 3)) == pytest.approx(0.5)
    assert variety(torch.rand(1, 1, 4, 4).expand(9, 1, 4, 4)) == 0


@pytest.mark.parametrize("condition", ["", "labels"])
def test_samples_of_a_single_mode_fail_and_varied_ones_do_not(data: Dataset, condition: str) -> None:
    check(Sampler(0.2, condition), data)
    with pytest.raises(TrainingFailed, match="single mode: the variance between samples is"):
        check(Sampler(0.01, condition), data)


def test_a_class_that_is_drawn_in_one_way_fails(data: Dataset) -> None:
    check(OneOfEachClass(0.2), data)
    with pytest.raises(TrainingFailed, match="a single mode of each class: the variance between its samples is"):
        check(OneOfEachClass(0.01), data)


def test_centred_images_keep_what_differs_within_a_class() -> None:
    images, labels = torch.randn(9, 2, 3, 3), torch.tensor([4, 1, 4, 7, 1, 1, 4, 7, 1])
    found = centred(images, labels)
    for label in (1, 4, 7):
        mine = images[labels == label]
        torch.testing.assert_close(found[labels == label], mine - mine.mean(0))


def test_what_a_method_knows_of_itself_fails_it(data: Dataset) -> None:
    with pytest.raises(TrainingFailed, match="the codebook is dead, by 64 images"):
        check(Confessing(), data)


def test_nothing_has_failed_before_training_had_a_chance(data: Dataset) -> None:
    check(Confessing(), data, steps=EARLIEST - 1)
    check(Sampler(0.0), data, steps=0)
