"""Backbones of clips: what they see of motion, whatever the number of frames, and their stages."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.data.fields import DataSpec, VideoField
from harness.errors import RequestError
from harness.nn.backbone import Backbone
from harness.registry.config import resolve
from harness_plugins.backbones import conv3d, frames

SPEC = DataSpec(inputs=VideoField(frames=6, channels=1, size=12, mean=(0.4,), std=(0.3,)))


def built(module, **params) -> Backbone:
    torch.manual_seed(0)
    return module.build(SPEC, module.Config(**params)).eval()


def clips(frames: int = 6, size: int = 12) -> Tensor:
    return torch.rand(3, frames, 1, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("module", "params", "dim"),
    [
        (frames, {}, 128),
        (frames, {"differences": False}, 128),
        (frames, {"pool": "mean", "width": 8}, 32),
        (conv3d, {}, 96),
        (conv3d, {"stages": 1}, 24),
    ],
)
def test_clips_of_any_length_and_size_are_taken(module, params: dict, dim: int) -> None:
    backbone = built(module, **params)
    assert backbone.dim == dim
    for length, size in ((1, 12), (6, 12), (9, 30)):
        assert backbone(clips(length, size)).shape == (3, dim)


@pytest.mark.parametrize(
    ("module", "params", "sees"),
    [
        (frames, {}, True),
        (frames, {"differences": False}, True),
        (frames, {"pool": "mean"}, True),
        (frames, {"pool": "mean", "differences": False}, False),
        (conv3d, {}, True),
    ],
)
def test_who_sees_the_order_of_frames(module, params: dict, sees: bool) -> None:
    backbone = built(module, **params)
    gap = (backbone(clips()) - backbone(clips().flip(1))).abs().max()
    assert (gap > 1e-4) == sees


def test_a_frame_is_encoded_by_itself() -> None:
    """The mean of clips of one frame each is the clip."""
    backbone = built(frames, pool="mean", differences=False)
    alone = torch.stack([backbone(frame) for frame in clips().split(1, 1)]).mean(0)
    torch.testing.assert_close(backbone(clips()), alone)


def test_differences_are_to_the_frame_before() -> None:
    """A still clip shows none: as the first frame, whose channels of differences are empty; by hand where it moves."""
    backbone = built(frames, stages=1, norm="none", pool="mean")
    layer, inputs = backbone.trunk.convolutions[0][0], backbone.standardise(clips())
    before = torch.cat([inputs[:, :1], inputs[:, :-1]], 1)
    maps = [layer(torch.cat([inputs[:, place], inputs[:, place] - before[:, place]], 1)).relu() for place in range(6)]
    torch.testing.assert_close(backbone(clips()), torch.stack(maps).mean((0, 3, 4)))
    still = clips()[:, :1].expand(-1, 6, -1, -1, -1)
    torch.testing.assert_close(backbone(still), backbone(still[:, :1]))


def test_the_first_convolution_of_conv3d_is_the_sum_over_three_frames() -> None:
    """Against 2-D convolutions of each frame, with the frames outside of the clip empty."""
    backbone = built(conv3d, stages=1, norm=False)
    layer, inputs = backbone.trunk[1], backbone.standardise(clips())
    padded = torch.nn.functional.pad(inputs, (0, 0, 0, 0, 0, 0, 1, 1))
    maps = [
        sum(
            torch.nn.functional.conv2d(padded[:, frame + step], layer.weight[:, :, step], padding=1)
            for step in range(3)
        )
        + layer.bias[:, None, None]
        for frame in range(6)
    ]
    expected = torch.stack(maps).relu().mean((0, 3, 4))
    torch.testing.assert_close(backbone(clips()), expected)


@pytest.mark.parametrize(
    ("module", "params"), [(frames, {}), (frames, {"differences": False}), (frames, {"pool": "mean"}), (conv3d, {})]
)
def test_stages_are_a_chain(module, params: dict) -> None:
    backbone = built(module, **params)
    assert backbone.is_chain
    inputs = backbone.standardise(clips())
    whole = backbone.between(0, len(backbone.stages()), inputs)
    torch.testing.assert_close(whole, backbone.trunk(inputs))


@pytest.mark.parametrize(
    ("module", "params"), [(frames, {"width": 0}), (conv3d, {"stages": 0}), (frames, {"pool": "max"})]
)
def test_odd_parameters_are_errors(module, params: dict) -> None:
    with pytest.raises(RequestError, match=next(iter(params))):
        resolve(module.Config, params, "it")
