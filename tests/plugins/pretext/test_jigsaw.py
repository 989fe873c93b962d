"""Jigsaw: tiles, permutations, and the shortcuts that must not work."""

from __future__ import annotations

from itertools import combinations, permutations
from math import sqrt

import numpy as np
import pytest
import torch

from harness.data.batches import Batch
from harness.data.columns import InMemory
from harness.data.fields import DataSpec, ImageField
from harness.data.rows import Rows
from harness.errors import NotApplicable
from harness.nn.tiles import cut_tiles, standardise_tiles
from harness.records import Budget, TrainConfig
from harness.trainer import train
from harness_plugins.backbones import convnet, mlp
from harness_plugins.pretext.jigsaw import Config, Jigsaw, permutation_set

SPEC = DataSpec(inputs=ImageField(channels=1, size=16))


def jigsaw(spec: DataSpec[ImageField] = SPEC, **config) -> Jigsaw:
    torch.manual_seed(0)
    return Jigsaw(convnet.build(spec, convnet.Config()), spec, Config(**config))


def test_four_tiles_have_all_their_orders() -> None:
    assert {tuple(order) for order in permutation_set(4, 100)} == set(permutations(range(4)))


def test_the_permutation_set_is_far_apart() -> None:
    """Max-min for 9 tiles and 100 orders: no two closer than 6 tiles; mean distance about 8.03."""
    orders = permutation_set(9, 100)
    distances = [(a != b).sum() for a, b in combinations(orders, 2)]
    assert min(distances) >= 6
    assert np.mean(distances) == pytest.approx(8.03, abs=0.05)
    assert np.array_equal(orders, permutation_set(9, 100))
    assert not np.array_equal(orders, permutation_set(9, 100, seed=1))


def test_the_answer_is_the_order_of_the_tiles() -> None:
    """A head that reads each tile's identity would be right every time: answers and shuffling agree."""
    method = jigsaw(puzzles=1)
    shown: list[torch.Tensor] = []
    method.backbone.trunk.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
    image = torch.arange(256.0).view(1, 1, 16, 16) ** 2 / 65025  # every cell has its own slope
    torch.manual_seed(0)
    _, answers = method.eval().solve(Batch(inputs=image.expand(64, 1, 16, 16)))
    tiles = shown[0].view(64, 4, 1, 6, 6)
    torch.manual_seed(0)
    ordered = standardise_tiles(cut_tiles(image.expand(64, 1, 16, 16), 2, 8, 6))
    for shuffled, original, answer in zip(tiles, ordered, answers, strict=True):
        assert torch.equal(shuffled, original[method.orders[answer]])


def test_images_without_structure_cannot_be_solved() -> None:
    """The shortcut test: on noise, trained as long as it likes, the accuracy stays at chance (4 standard errors)."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (1024, 1, 16, 16), generator=generator, dtype=torch.uint8)
    method = jigsaw(puzzles=1)
    train(
        method,
        Rows(inputs=InMemory(noise)),
        SPEC,
        TrainConfig(batch_size=128),
        Budget.parse("6 epochs"),
        seed=0,
        precision="fp32",
        progress=lambda done, scalars: None,
    )
    held_out = torch.rand(2048, 1, 16, 16, generator=generator)
    with torch.no_grad():
        logits, answers = method.eval().solve(Batch(inputs=held_out))
    accuracy = (logits.argmax(1) == answers).float().mean().item()
    chance = 1 / 24
    assert abs(accuracy - chance) < 4 * sqrt(chance * (1 - chance) / 2048)


@pytest.mark.parametrize("standardised", [True, False])
def test_brightness_is_a_shortcut_only_without_standardised_tiles(
    standardised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: this is what a shortcut looks like, and what standardising each tile is for."""
    if not standardised:
        monkeypatch.setattr("harness_plugins.pretext.jigsaw.standardise_tiles", lambda tiles: tiles)
    generator = torch.Generator().manual_seed(0)
    levels = torch.tensor([[0.0, 80.0], [160.0, 240.0]]).repeat_interleave(8, 0).repeat_interleave(8, 1)  # by quarter
    images = (levels + 8 * torch.randn(1024, 1, 16, 16, generator=generator)).clamp(0, 255).to(torch.uint8)
    result = train(
        jigsaw(puzzles=1),
        Rows(inputs=InMemory(images)),
        SPEC,
        TrainConfig(batch_size=64, learning_rate=3e-3),
        Budget.parse("6 epochs"),
        seed=0,
        precision="fp32",
        progress=lambda done, scalars: None,
    )
    solved = result.curve[-1].scalars["accuracy"] > 0.5
    assert solved is not standardised


@pytest.mark.parametrize(("size", "grid"), [(8, 3), (6, 2)])
def test_tiles_that_are_too_small_are_a_reason_to_skip(size: int, grid: int) -> None:
    with pytest.raises(NotApplicable, match="fewer than 3 pixels"):
        jigsaw(DataSpec(inputs=ImageField(channels=1, size=size)), grid=grid)


def test_a_backbone_for_whole_images_only_is_a_reason_to_skip() -> None:
    with pytest.raises(NotApplicable, match="needs a backbone that takes tiles"):
        Jigsaw(mlp.build(SPEC, mlp.Config()), SPEC, Config())


def test_each_image_gives_several_puzzles() -> None:
    logits, answers = jigsaw(puzzles=3).solve(Batch(inputs=torch.rand(5, 1, 16, 16)))
    assert logits.shape == (15, 24)
    assert answers.shape == (15,)


def test_the_encoder_sees_whole_images_as_it_saw_tiles() -> None:
    """Standardised by themselves: neither brightness nor contrast of an image changes its features."""
    method = jigsaw().eval()
    images = torch.rand(3, 1, 16, 16)
    features = method.encode(images)
    assert features.shape == (3, 128)
    torch.testing.assert_close(method.encode(0.5 * images + 0.3), features, atol=1e-5, rtol=1e-4)
