"""A small vision transformer: patches of the image as tokens that attend to each other. Dosovitskiy et al. 2021,
arXiv:2010.11929, section 3.1; the representation is the mean of the tokens, as in its appendix D.3.

B images, C channels, H=W pixels, S pixels of a patch's side, L patches, D features. It is bound to its source's size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.nn.stages import Stage
from harness.plugin import Backbone, BackboneSpec, DataSpec, ImageField, NotApplicable, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    patch: int = 4  # S
    width: int = 64  # D
    depth: int = 2  # blocks of attention
    heads: int = 4  # of the attention


class Patches(nn.Module):
    """Standardised images (B,C,H,W) -> (B,D)."""

    def __init__(self, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        patches = (data.inputs.size // config.patch) ** 2  # L
        self.embed = nn.Conv2d(data.inputs.channels, config.width, config.patch, stride=config.patch)
        self.place = nn.Parameter(0.02 * torch.randn(1, patches, config.width))
        blocks = [
            nn.TransformerEncoderLayer(
                config.width, config.heads, 4 * config.width, dropout=0.0, batch_first=True, norm_first=True
            )
            for _ in range(config.depth)
        ]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.embed(images).flatten(2).transpose(1, 2) + self.place  # (B,L,D)
        return self.norm(self.blocks(tokens)).mean(1)


def build(data: DataSpec[ImageField], config: Config) -> Backbone:
    if data.inputs.size % config.patch:
        raise NotApplicable(f"{data.inputs.title} images are not made of patches of {config.patch} pixels")
    blocks = [f"blocks.{place}" for place in range(config.depth)]
    stages = [Stage("patches", ("embed", "place")), *(Stage(name, (name,)) for name in blocks[:-1])]
    stages.append(Stage(blocks[-1], (blocks[-1], "norm")))  # earliest first: what fine-tuning may freeze
    return Backbone(Patches(data, config), config.width, data, any_size=False, stages=stages)


@hookimpl
def harness_backbone() -> BackboneSpec:
    return BackboneSpec(name="patches", build=build, config=Config, source="arXiv:2010.11929")
