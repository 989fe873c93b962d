"""A small convolutional encoder for images of 8 to 32 pixels: one 3x3 convolution per stage, then the spatial mean.

B images, C channels, H=W pixels, D features. Each stage after the first doubles the width, so that D = width *
2^(stages - 1); all stages but one halve the resolution. In small images that one is the first, in those of 24 pixels
and more the last, which is four times as fast. It takes any size, since nothing but the mean sees positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from harness.nn.layers import SpatialMean, normalisation
from harness.nn.stages import in_sequence
from harness.plugin import Backbone, BackboneSpec, DataSpec, ImageField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    width: int = 32  # channels of the first stage
    stages: int = 3  # convolutions
    stem: Literal["auto", "full", "half"] = "auto"  # resolution after the first stage; auto: half from 24 pixels on
    norm: Literal["batch", "layer", "none"] = "batch"  # after each convolution; layer: over channels and positions
    dropout: float = 0.0  # probability in [0,1) of zeroing a value after each stage, in training

    def __post_init__(self) -> None:
        if self.width < 1 or self.stages < 1:
            raise ValueError("width and stages must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout is a probability in [0,1)")


def build(data: DataSpec[ImageField], config: Config) -> Backbone:
    layers: list[nn.Module] = []
    ends: list[int] = []  # the place after the last layer of each stage
    channels = data.inputs.channels
    halved_at_once = config.stem == "half" or (config.stem == "auto" and data.inputs.size >= 24)
    unhalved = config.stages - 1 if halved_at_once else 0  # the stage that keeps the resolution
    for stage in range(config.stages):
        width = config.width * 2**stage
        layers.append(nn.Conv2d(channels, width, 3, stride=1 if stage == unhalved else 2, padding=1))
        layers += [*normalisation(config.norm, width), nn.ReLU()]
        if config.dropout:
            layers.append(nn.Dropout(config.dropout))
        ends.append(len(layers))
        channels = width
    trunk = nn.Sequential(*layers, SpatialMean())  # (B,C,H,W) -> (B,D)
    return Backbone(
        trunk, channels, data, any_size=True, maps=maps_before_the_mean,
        stages=in_sequence(ends, "convolution"), pooled=mean_of_maps,
    )  # fmt: skip


def maps_before_the_mean(trunk: nn.Module, inputs: Tensor) -> Tensor:
    """(B,C,H,W) standardised -> (B,D,h,w): all layers of the trunk but the spatial mean."""
    assert isinstance(trunk, nn.Sequential)
    for layer in list(trunk)[:-1]:
        inputs = layer(inputs)
    return inputs


def mean_of_maps(trunk: nn.Module, maps: Tensor) -> Tensor:
    """(B,D,h,w) -> (B,D): the last layer of the trunk, which has no weights and belongs to no stage."""
    assert isinstance(trunk, nn.Sequential)
    return trunk[-1](maps)


@hookimpl
def harness_backbone() -> BackboneSpec:
    return BackboneSpec(name="convnet", build=build, config=Config, source="Harness")
