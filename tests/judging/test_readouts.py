"""Readouts: the place that is best on validation is read, and test never chooses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from example_subject import digits_dataset, example_subject
from torch import Tensor, nn

from harness.data.columns import Column, InMemory, all_values
from harness.data.images import to_float
from harness.data.rows import Dataset
from harness.judging.readouts import choose_readout
from harness.seeding import derived_generator


class Places(nn.Module):
    """Three places to read: almost nothing, the image in noise, the image."""

    def readouts(self) -> tuple[str, ...]:
        return ("brightness", "noisy", "pixels")

    def read(self, images: Tensor, readout: str) -> Tensor:
        pixels = images.flatten(1)
        if readout == "brightness":
            return pixels.mean(1, keepdim=True)
        noise = torch.rand(pixels.shape, generator=torch.Generator().manual_seed(len(images)))
        return pixels + noise if readout == "noisy" else pixels

    def encode(self, images: Tensor) -> Tensor:
        return self.read(images, "brightness")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits_dataset()


def test_the_most_telling_place_is_chosen_on_validation(data: Dataset, tmp_path: Path) -> None:
    subject = example_subject(Places(), data, tmp_path)
    assert subject.features("test").equal(to_float(data.test.values).flatten(1))
    assert subject.note == "read at pixels, the best of 3 readouts on validation"


def test_test_images_make_no_difference(data: Dataset, tmp_path: Path) -> None:
    blank = replace(data, test=replace(data.test, inputs=InMemory(torch.zeros_like(data.test.values))))
    assert example_subject(Places(), blank, tmp_path).readout.name == "pixels"


def test_without_labels_nothing_can_choose(data: Dataset, tmp_path: Path) -> None:
    bare = replace(data, train=replace(data.train, labels=None))
    subject = example_subject(Places(), bare, tmp_path)
    assert subject.features("test").shape[1] == 1
    assert subject.note == ""


def test_the_same_rows_judge_every_place(data: Dataset) -> None:
    seen: dict[str, list[int]] = {}

    def read(images: Column, name: str) -> Tensor:
        seen.setdefault(name, []).append(int(all_values(images).long().sum()))
        return to_float(all_values(images)).flatten(1)

    chosen = choose_readout(("a", "b"), read, data.train, data.validation, derived_generator(0, "rows"))
    assert seen["a"] == seen["b"]
    assert chosen.name == "a"  # of equals the first
