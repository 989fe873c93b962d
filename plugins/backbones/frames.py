"""A small 2-D convolutional encoder on each frame of a clip, then one vector for all frames: by a GRU, or their mean.

As in Srivastava et al. 2015, arXiv:1502.04681, section 2, with a GRU (Cho et al. 2014, arXiv:1406.1078) for their LSTM.
What recurs needs no fixed number of frames. The mean knows no order: with it, and without `differences`, a clip that
runs backwards is the same clip. With `differences` the convolutions see what moves, where it moves, which the GRU, that
sees coarse places, cannot tell by comparing them (after the differences of neighbouring frames in Wang et al. 2016,
arXiv:1608.00859, section 3.2). The convolutions are those of `convnet`: each stage but the first doubles the width, all
but one halve the resolution (that one is the first in small frames, in those of 24 pixels and more the last).

B clips, T frames, C channels, H=W pixels, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from harness.nn.layers import SpatialMean, normalisation
from harness.nn.stages import Stage
from harness.plugin import Backbone, BackboneSpec, DataSpec, VideoField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    width: int = 32  # channels of the first stage
    stages: int = 3  # convolutions; D = width * 2^(stages - 1)
    norm: Literal["batch", "layer", "none"] = "batch"  # after each convolution; layer: over channels and positions
    pool: Literal["gru", "mean"] = "gru"  # over time: the last state of a GRU with D units, or the mean
    differences: bool = True  # does each frame come with what changed since the one before it?
    grid: int = 3  # places along each side of a frame that the GRU sees: what is in the mean over all has no place

    def __post_init__(self) -> None:
        if self.width < 1 or self.stages < 1 or self.grid < 1:
            raise ValueError("width, stages and grid must be at least 1")


class Frames(nn.Module):
    """Standardised clips (B,T,C,H,W) -> (B,D)."""

    def __init__(self, data: DataSpec[VideoField], config: Config) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        self.differences = config.differences
        channels = data.inputs.channels * (2 if config.differences else 1)
        unhalved = config.stages - 1 if data.inputs.size >= 24 else 0  # the stage that keeps the resolution
        for stage in range(config.stages):
            width = config.width * 2**stage
            layer = nn.Conv2d(channels, width, 3, stride=1 if stage == unhalved else 2, padding=1)
            self.convolutions.append(nn.Sequential(layer, *normalisation(config.norm, width), nn.ReLU()))
            channels = width
        self.dim = channels
        self.spatial = SpatialMean()
        self.places = nn.AdaptiveAvgPool2d(config.grid)
        seen = channels * config.grid**2
        self.recurrent = nn.GRU(seen, channels, batch_first=True) if config.pool == "gru" else None

    def forward(self, clips: Tensor) -> Tensor:
        for place in range(len(self.convolutions)):
            clips = self.convolved(clips, place)
        return self.pooled(self.over_time(clips))

    def convolved(self, clips: Tensor, place: int) -> Tensor:
        """One convolution of each frame: (B,T,C,H,W) -> (B,T,C',H',W')."""
        if self.differences and place == 0:
            clips = torch.cat([clips, with_none_first(clips.diff(dim=1))], 2)  # (B,T,2C,H,W)
        return self.convolutions[place](clips.flatten(0, 1)).unflatten(0, clips.shape[:2])

    def over_time(self, maps: Tensor) -> Tensor:
        """(B,T,D,h,w) -> (B,T,D): the mean over places, or what the GRU has seen up to each frame, by coarse places."""
        frames = maps.flatten(0, 1)  # (B*T,D,h,w)
        if self.recurrent is None:
            return self.spatial(frames).unflatten(0, maps.shape[:2])
        return self.recurrent(self.places(frames).flatten(1).unflatten(0, maps.shape[:2]))[0]

    def pooled(self, features: Tensor) -> Tensor:
        """(B,T,D) -> (B,D)."""
        return features.mean(1) if self.recurrent is None else features[:, -1]


def with_none_first(steps: Tensor) -> Tensor:
    """From one frame to the next, (B,T-1,...) -> (B,T,...): nothing changed before the first frame."""
    first = torch.zeros(len(steps), 1, *steps.shape[2:], dtype=steps.dtype, device=steps.device)
    return torch.cat([first, steps], 1)


def stages_of(trunk: Frames) -> list[Stage]:
    """Each convolution, and the GRU."""

    def convolved(network: Frames, clips: Tensor, place: int) -> Tensor:
        return network.convolved(clips, place)

    count = len(trunk.convolutions)
    stages = [
        Stage(f"convolution {place + 1}", (f"convolutions.{place}",), partial(convolved, place=place))
        for place in range(count)
    ]
    if trunk.recurrent is not None:
        stages.append(Stage("recurrence", ("recurrent",), lambda network, maps: network.over_time(maps)))
    return stages


def build(data: DataSpec[VideoField], config: Config) -> Backbone:
    trunk = Frames(data, config)

    def pooled(network: nn.Module, states: Tensor) -> Tensor:
        assert isinstance(network, Frames)
        return network.pooled(states if states.ndim == 3 else network.over_time(states))

    return Backbone(trunk, trunk.dim, data, any_size=True, stages=stages_of(trunk), pooled=pooled)


@hookimpl
def harness_backbone() -> BackboneSpec:
    return BackboneSpec(name="frames", build=build, config=Config, takes=("video",), source="arXiv:1502.04681")
