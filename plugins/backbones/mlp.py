"""A multilayer perceptron on the pixels: the encoder of the classic VAE and GAN papers on 28x28 digits.

B images, C channels, H=W pixels, D features. It is bound to the image size of its source. Those papers give it pixels
in [0,1] as they are, `mlp[standardise=false]`; standardised ones, as all backbones get them, are several times as
large, and the first layer learns as many times as fast.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torch import nn

from harness.nn.stages import in_sequence
from harness.plugin import Backbone, BackboneSpec, DataSpec, ImageField, hookimpl

NORMS: dict[str, list[type[nn.Module]]] = {"batch": [nn.BatchNorm1d], "layer": [nn.LayerNorm], "none": []}


@dataclass(frozen=True, kw_only=True)
class Config:
    hidden: int = 400  # units of every layer; D
    layers: int = 1  # linear layers, each followed by ReLU
    norm: Literal["batch", "layer", "none"] = "none"  # after each linear layer; layer: over its units
    dropout: float = 0.0  # probability in [0,1) of zeroing a unit after each layer, in training
    standardise: bool = True  # pixels to mean 0 and variance 1 by the source's training images; false: as they are

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout is a probability in [0,1)")
        if self.hidden < 1 or self.layers < 1:
            raise ValueError("hidden and layers must be at least 1")


def build(data: DataSpec[ImageField], config: Config) -> Backbone:
    layers: list[nn.Module] = [nn.Flatten()]
    ends: list[int] = []  # the place after the last layer of each stage
    width = data.inputs.channels * data.inputs.size * data.inputs.size
    for _ in range(config.layers):
        layers += [nn.Linear(width, config.hidden), *(norm(config.hidden) for norm in NORMS[config.norm]), nn.ReLU()]
        if config.dropout:
            layers.append(nn.Dropout(config.dropout))
        ends.append(len(layers))
        width = config.hidden
    trunk = nn.Sequential(*layers)  # (B,C,H,W) -> (B,D)
    if not config.standardise:
        channels = data.inputs.channels
        data = replace(data, inputs=replace(data.inputs, mean=(0.0,) * channels, std=(1.0,) * channels))
    return Backbone(trunk, width, data, any_size=False, stages=in_sequence(ends, "layer"))


@hookimpl
def harness_backbone() -> BackboneSpec:
    return BackboneSpec(
        name="mlp", build=build, config=Config, source="Kingma and Welling 2014, arXiv:1312.6114, app. C.2"
    )
