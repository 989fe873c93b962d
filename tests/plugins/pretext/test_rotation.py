"""Rotation: exact turns, all in one batch, and what it can and cannot solve."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.nn.augment import all_turns, random_flip, random_shift
from harness_plugins.backbones import convnet
from harness_plugins.pretext.rotation import Config, Rotation

SPEC = DataSpec(inputs=ImageField(channels=1, size=8))


@pytest.mark.parametrize("turns", [2, 3, 4])
def test_every_image_comes_in_every_turn(turns: int) -> None:
    images = torch.rand(5, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    turned, labels = all_turns(images, turns)
    assert turned.shape == (turns * 5, 3, 6, 6)
    assert labels.bincount().tolist() == [5] * turns
    expected = {(i, t): np.rot90(images[i].numpy(), t, (1, 2)) for i in range(5) for t in range(turns)}
    for image, label in zip(turned, labels, strict=True):
        assert any(np.array_equal(image.numpy(), expected[i, int(label)]) for i in range(5))
    assert labels.tolist() != sorted(labels.tolist())  # the order gives nothing away


def test_shifts_move_and_keep_what_is_there() -> None:
    torch.manual_seed(0)
    image = torch.arange(100.0).view(1, 1, 10, 10)
    shifted = random_shift(image.expand(200, 1, 10, 10), 0.2)
    inside = shifted[:, 0, 2:8, 2:8]
    assert torch.equal(inside.diff(dim=-1), torch.ones(200, 6, 5))
    moves = {tuple(move) for move in (shifted[:, 0, 5, 5] - 55).unsqueeze(1).tolist()}
    assert len(moves) == 25  # every shift by -2 ... 2 in both directions
    assert random_shift(image, 0.0) is image


def test_half_of_the_images_are_mirrored() -> None:
    torch.manual_seed(0)
    image = torch.arange(4.0).view(1, 1, 1, 4).expand(1000, 1, 1, 4)
    flipped = random_flip(image)[:, 0, 0, 0] == 3
    assert 430 < int(flipped.sum()) < 570


@pytest.mark.parametrize(
    ("mirror", "flip", "expected"),
    [(False, None, False), (True, None, True), (True, False, False), (False, True, True)],
)
def test_the_dataset_says_whether_images_are_mirrored(mirror: bool, flip: bool | None, expected: bool) -> None:
    """An image that grows to the right grows to the left when it is mirrored: in half of a batch, or never."""
    spec = DataSpec(inputs=ImageField(channels=1, size=8, mirror=mirror))
    method = Rotation(convnet.build(spec, convnet.Config()), spec, Config(flip=flip, shift=0.0))
    shown: list[torch.Tensor] = []
    method.backbone.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
    torch.manual_seed(0)
    _, turns = method.solve(Batch(inputs=torch.arange(8.0).expand(64, 1, 8, 8) / 8))
    upright = shown[0][turns == 0][:, 0, 0]  # (64,W)
    assert {bool(row[0] > row[-1]) for row in upright} == ({True, False} if expected else {False})


def test_the_loss_of_an_untrained_head_is_near_the_logarithm_of_the_turns() -> None:
    torch.manual_seed(0)
    method = Rotation(convnet.build(SPEC, convnet.Config()), SPEC, Config())
    batch = Batch(inputs=torch.rand(64, 1, 8, 8))
    assert method.loss(batch).item() == pytest.approx(np.log(4), abs=0.15)
    assert set(batch.scalars) == {"accuracy"}


def test_symmetric_images_stay_at_chance() -> None:
    """Every turn of a constant image is the same: nobody can do better than 1 in 4."""
    torch.manual_seed(0)
    method = Rotation(convnet.build(SPEC, convnet.Config()), SPEC, Config()).eval()
    logits, turns = method.solve(Batch(inputs=torch.full((32, 1, 8, 8), 0.4)))
    assert (logits.argmax(1) == turns).float().mean() == 0.25
