from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as tv

from harness.data.columns import InMemory
from harness.data.fields import DataSpec, ImageField
from harness.data.images import channel_statistics, to_float, to_uint8
from harness.data.rows import Dataset, Rows, read_as


def random_images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def dataset_of(images: torch.Tensor) -> Dataset:
    channels, size = images.shape[1], images.shape[2]
    labels = torch.arange(len(images)) % 2
    split = Rows(inputs=InMemory(images), labels=labels)
    spec = DataSpec(
        inputs=ImageField(channels=channels, size=size, mean=(0.5,) * channels, std=(0.5,) * channels),
        classes=("a", "b"),
    )
    return Dataset(name="random", spec=spec, train=split, validation=split, test=split, unlabelled=split)


def test_float_and_back_is_exact_for_every_value() -> None:
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(to_uint8(to_float(values)), values)
    assert to_float(values).min() == 0
    assert to_float(values).max() == 1


def test_to_uint8_clamps_and_rounds() -> None:
    values = torch.tensor([-1.0, 0.0, 0.6 / 255, 1.0, 7.0])
    assert to_uint8(values).tolist() == [0, 0, 1, 255, 255]


def test_channel_statistics_are_those_of_numpy() -> None:
    images = random_images(50, 3, 7, 7)
    images[:, 1] //= 3
    mean, std = channel_statistics(images)
    values = images.numpy().astype(np.float64) / 255
    np.testing.assert_allclose(mean, values.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, values.std((0, 2, 3)), rtol=1e-12)


def test_flat_channel_has_std_one() -> None:
    assert channel_statistics(torch.full((4, 1, 2, 2), 51, dtype=torch.uint8)) == ((pytest.approx(0.2),), (1.0,))


def test_matched_leaves_equal_shapes_alone() -> None:
    dataset = dataset_of(random_images(4, 3, 8, 8))
    alike = read_as(dataset, DataSpec(inputs=ImageField(channels=3, size=8)))
    assert alike == dataset
    assert alike.train.inputs is dataset.train.inputs


@pytest.mark.parametrize("size", [8, 20, 32])
def test_matched_resizes_as_torchvision_does(size: int) -> None:
    images = random_images(5, 3, 20, 20)
    found = read_as(dataset_of(images), DataSpec(inputs=ImageField(channels=3, size=size))).test.values
    expected = tv.resize(images.float(), [size, size], antialias=True).round().clamp(0, 255).to(torch.uint8)
    assert torch.equal(found, expected)


def test_matched_grey_is_the_luma_of_pillow() -> None:
    images = random_images(6, 3, 16, 16)
    found = read_as(dataset_of(images), DataSpec(inputs=ImageField(channels=1, size=16))).train.values
    pillow = [np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L")) for image in images]
    difference = found[:, 0].numpy().astype(int) - np.stack(pillow).astype(int)
    assert np.abs(difference).max() <= 1  # Pillow rounds in integers
    assert np.mean(difference != 0) < 0.01


def test_matched_colour_from_grey_has_equal_channels() -> None:
    images = random_images(3, 1, 8, 8)
    found = read_as(dataset_of(images), DataSpec(inputs=ImageField(channels=3, size=8))).validation.values
    assert torch.equal(found, images.repeat(1, 3, 1, 1))


def test_matched_says_what_it_did_and_keeps_labels() -> None:
    dataset = dataset_of(random_images(4, 3, 32, 32))
    found = read_as(dataset, DataSpec(inputs=ImageField(channels=1, size=8)))
    assert found.note == "resized from 32x32x3 to 8x8x1"
    assert found.spec.inputs.shape == (1, 8, 8)
    assert found.spec.inputs.mean == ()
    assert torch.equal(found.test.labels, dataset.test.labels)
    assert found.test.values.dtype == torch.uint8


def test_two_channels_cannot_be_matched() -> None:
    with pytest.raises(ValueError, match="cannot turn 2 channels into 3"):
        read_as(dataset_of(random_images(2, 2, 4, 4)), DataSpec(inputs=ImageField(channels=3, size=4)))


def test_pretraining_uses_unlabelled_images_only_without_labels() -> None:
    dataset = dataset_of(random_images(4, 1, 4, 4))
    alone, labelled = dataset.pretraining(()), dataset.pretraining(("labels",))
    assert (len(alone), alone.labels) == (8, None)
    assert (len(labelled), labelled.labels is None) == (4, False)
