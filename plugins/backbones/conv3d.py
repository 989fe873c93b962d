"""A small 3-D convolutional encoder of clips: 3x3x3 convolutions, then the mean over time and place.

As C3D (Tran et al. 2015, arXiv:1412.0767, section 3), which found 3x3x3 best. Each stage after the first doubles the
width, so that D = width * 2^(stages - 1); all but one halve the resolution (that one is the first in small frames, in
those of 24 pixels and more the last). Differs from the paper: small; time is never halved, so that clips of any number
of frames are taken; strides in the place of pooling.

B clips, T frames, C channels, H=W pixels, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from harness.nn.layers import Conv3d
from harness.nn.stages import in_sequence
from harness.plugin import Backbone, BackboneSpec, DataSpec, VideoField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    width: int = 24  # channels of the first stage
    stages: int = 3  # convolutions
    norm: bool = True  # batch normalisation after each convolution

    def __post_init__(self) -> None:
        if self.width < 1 or self.stages < 1:
            raise ValueError("width and stages must be at least 1")


class TimeSecond(nn.Module):
    """Clips (B,T,C,H,W) -> (B,C,T,H,W), as 3-D convolutions take them."""

    def forward(self, clips: Tensor) -> Tensor:
        return clips.transpose(1, 2)


class MeanOverTimeAndPlace(nn.Module):
    """(B,D,T,h,w) -> (B,D)."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3, 4))


def build(data: DataSpec[VideoField], config: Config) -> Backbone:
    layers: list[nn.Module] = [TimeSecond()]
    ends: list[int] = []  # the place after the last layer of each stage
    channels = data.inputs.channels
    unhalved = config.stages - 1 if data.inputs.size >= 24 else 0  # the stage that keeps the resolution
    for stage in range(config.stages):
        width, stride = config.width * 2**stage, 1 if stage == unhalved else 2
        layers.append(Conv3d(channels, width, 3, stride=(1, stride, stride), padding=1))
        layers += [*([nn.BatchNorm3d(width)] if config.norm else []), nn.ReLU()]
        ends.append(len(layers))
        channels = width
    trunk = nn.Sequential(*layers, MeanOverTimeAndPlace())  # (B,T,C,H,W) -> (B,D)

    def pooled(network: nn.Module, maps: Tensor) -> Tensor:
        assert isinstance(network, nn.Sequential)
        return network[-1](maps)

    stages = in_sequence(ends, "convolution")
    return Backbone(trunk, channels, data, any_size=True, stages=stages, pooled=pooled)


@hookimpl
def harness_backbone() -> BackboneSpec:
    return BackboneSpec(name="conv3d", build=build, config=Config, takes=("video",), source="arXiv:1412.0767")
