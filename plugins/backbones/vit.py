"""A vision transformer: patches of the image as tokens that attend to each other. Dosovitskiy et al. 2021,
arXiv:2010.11929, section 3.1.

B images, C channels, H=W pixels, S pixels of a patch's side, h,w patches, L=h*w, K of them kept, D features, E=1 class
token or none.
Images of any size are taken: sides that are no multiple of the patch are continued by the mean colour, and positions
are stretched over the image, as those of the paper are where it fine-tunes at another resolution. Patches that are not
kept are never seen: they cost nothing (He et al. 2022, arXiv:2111.06377, section 3).
Differs from the paper: by default the representation is the mean of the tokens (its appendix D.3) and positions are
sines, which small data need not learn; smaller; Glorot's initialisation; no dropout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.backbone import PatchTokens
from harness.nn.patches import chosen, grid_of, patches_of, sincos_positions
from harness.nn.stages import Stage
from harness.nn.transformer import Block
from harness.plugin import Backbone, BackboneSpec, DataSpec, ImageField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    patch: int = 4  # S, in pixels
    width: int = 96  # D, a multiple of 4 and of heads
    depth: int = 4  # blocks of attention
    heads: int = 3  # of each block's attention
    pool: Literal["mean", "class"] = "mean"  # the representation: mean of the patches' tokens, or a token of its own
    positions: Literal["sines", "learned"] = "sines"  # what tells a token where its patch is

    def __post_init__(self) -> None:
        if min(self.patch, self.width, self.depth, self.heads) < 1:
            raise ValueError("patch, width, depth and heads must be at least 1")
        if self.width % self.heads or self.width % 4:
            raise ValueError(f"width must be a multiple of 4 and of heads={self.heads}")


class VisionTransformer(nn.Module):
    """Standardised images (B,C,H,W) -> (B,D); `pooled=False` gives all tokens (B,E+L,D), or those kept (B,E+K,D)."""

    sines: Tensor  # (L,D), where positions are not learned

    def __init__(self, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.native = grid_of((data.inputs.size, data.inputs.size), config.patch)  # (h,w)
        self.embed = nn.Linear(data.inputs.channels * config.patch**2, config.width)
        nn.init.xavier_uniform_(self.embed.weight)
        nn.init.zeros_(self.embed.bias)
        self.summary = nn.Parameter(0.02 * torch.randn(1, 1, config.width)) if config.pool == "class" else None
        if config.positions == "learned":
            self.places = nn.Parameter(0.02 * torch.randn(1, config.width, *self.native))  # (1,D,h,w)
        else:
            self.register_buffer("sines", sincos_positions(self.native, config.width), persistent=False)  # (L,D)
        self.blocks = nn.Sequential(*[Block(config.width, config.heads) for _ in range(config.depth)])
        self.norm = nn.LayerNorm(config.width)

    def forward(self, images: Tensor, kept: Tensor | None = None, *, pooled: bool = True) -> Tensor:
        tokens = self.norm(self.blocks(self.embedded(images, kept)))
        return self.pooled(tokens) if pooled else tokens

    def embedded(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        """What the first block is given: (B,E+L,D), or (B,E+K,D)."""
        patches = patches_of(images, self.config.patch)  # (B,L,P)
        places = self.positions(grid_of((images.shape[2], images.shape[3]), self.config.patch))  # (1,L,D)
        if kept is not None:
            patches, places = chosen(patches, kept), chosen(places, kept)  # (B,K,P), (B,K,D)
        tokens = self.embed(patches) + places
        if self.summary is not None:
            tokens = torch.cat([self.summary.expand(len(tokens), -1, -1), tokens], 1)  # (B,1+K,D)
        return tokens

    def pooled(self, tokens: Tensor) -> Tensor:
        """(B,E+L,D) -> (B,D)."""
        return tokens.mean(1) if self.summary is None else tokens[:, 0]

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """For a grid of (h,w) patches: (1,L,D)."""
        if self.config.positions == "learned":
            places: Tensor = self.places
            if grid != self.native:
                places = F.interpolate(places, size=grid, mode="bicubic", align_corners=False)
            return places.flatten(2).transpose(1, 2)
        if grid == self.native:
            return self.sines.unsqueeze(0)
        return sincos_positions(grid, self.config.width, self.native).to(self.sines).unsqueeze(0)


def tokens_of(trunk: nn.Module, images: Tensor, kept: Tensor | None) -> Tensor:
    """(B,C,H,W) standardised -> (B,E+K,D)."""
    return trunk(images, kept, pooled=False)


def maps_of(trunk: nn.Module, images: Tensor) -> Tensor:
    """(B,C,H,W) standardised -> (B,D,h,w): the tokens where their patches are."""
    assert isinstance(trunk, VisionTransformer)
    grid = grid_of((images.shape[2], images.shape[3]), trunk.config.patch)
    return tokens_of(trunk, images, None).transpose(1, 2).unflatten(2, grid)


def stages_of(depth: int) -> tuple[Stage, ...]:
    """Patches with their positions and the class token, then each block; the last one with the norm after it."""

    def block(place: int) -> Stage:
        last = place == depth - 1
        parts = (f"blocks.{place}", *(("norm",) if last else ()))
        return Stage(
            f"block {place + 1}",
            parts,
            lambda trunk, tokens: trunk.norm(trunk.blocks[place](tokens)) if last else trunk.blocks[place](tokens),
        )

    first = Stage("patches", ("embed", "summary", "places"), lambda trunk, images: trunk.embedded(images))
    return (first, *map(block, range(depth)))


def build(data: DataSpec[ImageField], config: Config) -> Backbone:
    has_class = config.pool == "class"
    return Backbone(
        VisionTransformer(data, config),
        config.width,
        data,
        any_size=True,
        maps=None if has_class else maps_of,  # the class token is no mean of maps
        patches=PatchTokens(tokens_of, config.patch, extra=int(has_class)),
        stages=stages_of(config.depth),
        pooled=lambda trunk, tokens: trunk.pooled(tokens),  # type: ignore[operator]
    )


@hookimpl
def harness_backbone() -> BackboneSpec:
    return BackboneSpec(name="vit", build=build, config=Config, source="arXiv:2010.11929")
