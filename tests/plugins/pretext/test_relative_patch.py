"""Relative patches: the pairs that are asked about, their answers, and what of colours a patch keeps."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.errors import NotApplicable
from harness_plugins.backbones import convnet, mlp
from harness_plugins.pretext.relative_patch import (
    SIDES,
    Config,
    RelativePatch,
    applies,
    neighbours,
    one_channel,
    sizes,
)

SPEC = DataSpec(inputs=ImageField(channels=1, size=16))
CLOTHES = DataSpec(inputs=ImageField(channels=1, size=28))


def relative_patch(spec: DataSpec[ImageField] = SPEC, **config) -> RelativePatch:
    torch.manual_seed(0)
    return RelativePatch(convnet.build(spec, convnet.Config()), spec, Config(**config))


@pytest.mark.parametrize(("grid", "pairs"), [(2, 12), (3, 40)])
def test_every_pair_of_neighbours_has_one_answer(grid: int, pairs: int) -> None:
    """By places: two cells are neighbours if they touch, at a side or a corner."""
    found = {pair: side for side in SIDES for pair in neighbours(grid, side)}
    assert len(found) == sum(len(neighbours(grid, side)) for side in SIDES) == pairs
    for (one, other), (down, right) in found.items():
        assert (other // grid - one // grid, other % grid - one % grid) == (down, right)
        assert 1 <= down**2 + right**2 <= 2


@pytest.mark.parametrize("grid", [2, 3])
def test_each_answer_is_asked_for_by_all_of_its_pairs(grid: int) -> None:
    asked = relative_patch(CLOTHES, grid=grid).ask(2000)  # (n,K,2)
    assert asked.shape == (2000, 8, 2)
    for answer, side in enumerate(SIDES):
        expected = neighbours(grid, side)
        counts = Counter((int(one), int(other)) for one, other in asked[:, answer])
        assert set(counts) == set(expected)
        assert min(counts.values()) > 0.8 * 2000 / len(expected)


@pytest.mark.parametrize("grid", [2, 3])
def test_the_head_gets_the_patches_that_stand_as_the_answer_says(grid: int) -> None:
    """With a trunk that numbers the patches of a cut, the head sees the cells of each pair."""
    method = relative_patch(CLOTHES, grid=grid)
    cells = torch.arange(grid**2).repeat(2 * 3)[:, None].expand(-1, method.backbone.dim)
    method.backbone.trunk.register_forward_hook(lambda module, inputs, output: cells.float())
    seen: list[torch.Tensor] = []
    method.head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    logits, answers = method.solve(Batch(inputs=torch.rand(3, 1, 28, 28)))
    assert logits.shape == (2 * 3 * 8, 8)
    assert answers.bincount().tolist() == [6] * 8
    one, other = seen[0][:, 0].long(), seen[0][:, -1].long()
    moved = torch.stack([other // grid - one // grid, other % grid - one % grid], 1)
    assert torch.equal(moved, torch.tensor(SIDES)[answers])


@pytest.mark.parametrize(
    ("size", "config", "expected"),
    [
        (28, {}, (14, 10, 1)),
        (16, {}, (8, 6, 1)),
        (28, {"grid": 3}, (9, 6, 1)),
        (16, {"grid": 3, "patch": 0.8}, (5, 4, 1)),
        (16, {"patch": 0.89}, (8, 7, 1)),
        (96, {"gap": 0.25, "patch": 0.6}, (48, 29, 12)),
    ],
)
def test_sizes_in_pixels(size: int, config: dict, expected: tuple[int, int, int]) -> None:
    assert sizes(DataSpec(inputs=ImageField(channels=1, size=size)), Config(**config)) == expected


def test_a_patch_keeps_one_of_its_channels() -> None:
    torch.manual_seed(0)
    patches = torch.rand(200, 4, 3, 5, 5)
    kept = one_channel(patches)
    assert kept.shape == patches.shape
    same = torch.stack([(kept == patches[:, :, [c]]).flatten(2).all(2) for c in range(3)])  # (C,B,P)
    assert torch.equal(same.sum(0), torch.ones(200, 4).long())
    assert all(230 < int(each.sum()) < 305 for each in same)  # a third of 800 each
    assert one_channel(patches[:, :, :1]) is not None
    assert torch.equal(one_channel(patches[:, :, :1]), patches[:, :, :1])


def test_all_channels_are_kept_on_request() -> None:
    spec = DataSpec(inputs=ImageField(channels=3, size=16))
    shown: list[torch.Tensor] = []
    for colour in ("one", "all"):
        method = relative_patch(spec, colour=colour)
        method.backbone.trunk.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
        method.loss(Batch(inputs=torch.rand(2, 3, 16, 16)))
    assert torch.equal(shown[0][:, 0], shown[0][:, 1])
    assert not torch.equal(shown[1][:, 0], shown[1][:, 1])


def test_the_loss_of_an_untrained_head_is_near_the_logarithm_of_the_answers() -> None:
    batch = Batch(inputs=torch.rand(16, 1, 16, 16))
    assert relative_patch().loss(batch).item() == pytest.approx(torch.tensor(8.0).log().item(), abs=0.2)
    assert set(batch.scalars) == {"accuracy"}


def test_the_encoder_sees_whole_images_as_it_saw_patches() -> None:
    """Standardised by themselves: neither brightness nor contrast of an image changes its features."""
    method = relative_patch().eval()
    images = torch.rand(3, 1, 16, 16)
    features = method.encode(images)
    assert features.shape == (3, 128)
    torch.testing.assert_close(method.encode(0.5 * images + 0.3), features, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(method.encode(images[:1]), features[:1])
    assert torch.isfinite(method.encode(torch.full((1, 1, 16, 16), 0.4))).all()


@pytest.mark.parametrize(("size", "grid"), [(8, 3), (11, 3), (6, 2), (7, 2)])
def test_patches_that_are_too_small_are_a_reason_to_skip(size: int, grid: int) -> None:
    spec = DataSpec(inputs=ImageField(channels=1, size=size))
    reason = f"patches of {size}-pixel images would have fewer than 3 pixels"
    assert applies(spec, Config(grid=grid)) == reason
    with pytest.raises(NotApplicable, match=reason):
        relative_patch(spec, grid=grid)
    assert applies(SPEC, Config(grid=grid)) == ""


def test_a_backbone_for_whole_images_only_is_a_reason_to_skip() -> None:
    with pytest.raises(NotApplicable, match="needs a backbone that takes patches"):
        RelativePatch(mlp.build(SPEC, mlp.Config()), SPEC, Config())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"grid": 4}, "grid must be 2 or 3"),
        ({"patch": 1.0, "gap": 0.0}, "fractions of the cell"),
        ({"patch": 0.7, "gap": 0.5}, "must not exceed the cell"),
        ({"cuts": 0}, "cuts and hidden must be at least 1"),
    ],
)
def test_settings_out_of_range(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**wrong)
