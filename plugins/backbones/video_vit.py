"""A vision transformer for clips: tubes of a few frames as tokens that all attend to each other. Tong et al. 2022,
arXiv:2203.12602, section 3.3 (after Arnab et al. 2021, arXiv:2103.15691: tubelets, joint attention).

B clips, T frames, C channels, H=W pixels, S pixels of a tube's side, F frames of it, t times, h,w places, L=t*h*w
tubes, K of them kept, D features.
Clips of any size and length are taken: sides that are no multiple of the tube are continued by the mean colour, the
last frame is repeated, and positions in the picture are stretched over it, as in `vit`. Tubes that are not kept are
never seen: they cost nothing. Tubes come time by time, those of one time in reading order.
Differs from the papers: small; sines of the time in a quarter of the features, of the place in the others; Glorot's
initialisation; no dropout.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from harness.nn.backbone import PatchTokens
from harness.nn.patches import chosen, grid_of, sincos_positions, tubes_of
from harness.nn.stages import Stage
from harness.nn.transformer import Block
from harness.plugin import Backbone, BackboneSpec, DataSpec, VideoField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    patch: int = 4  # S, in pixels
    frames: int = 2  # F, of a tube
    width: int = 96  # D, a multiple of 16 and of heads
    depth: int = 4  # blocks of attention
    heads: int = 3  # of each block's attention

    def __post_init__(self) -> None:
        if min(self.patch, self.frames, self.width, self.depth, self.heads) < 1:
            raise ValueError("patch, frames, width, depth and heads must be at least 1")
        if self.width % self.heads or self.width % 16:
            raise ValueError(f"width must be a multiple of 16 and of heads={self.heads}")


class VideoTransformer(nn.Module):
    """Standardised clips (B,T,C,H,W) -> (B,D); `pooled=False` gives the tokens (B,L,D), or those kept (B,K,D)."""

    def __init__(self, data: DataSpec[VideoField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.native = grid_of((data.inputs.size, data.inputs.size), config.patch)  # (h,w)
        self.embed = nn.Linear(config.frames * data.inputs.channels * config.patch**2, config.width)
        nn.init.xavier_uniform_(self.embed.weight)
        nn.init.zeros_(self.embed.bias)
        self.blocks = nn.Sequential(*[Block(config.width, config.heads) for _ in range(config.depth)])
        self.norm = nn.LayerNorm(config.width)

    def forward(self, clips: Tensor, kept: Tensor | None = None, *, pooled: bool = True) -> Tensor:
        tokens = self.norm(self.blocks(self.embedded(clips, kept)))
        return tokens.mean(1) if pooled else tokens

    def embedded(self, clips: Tensor, kept: Tensor | None = None) -> Tensor:
        """What the first block is given: (B,L,D), or (B,K,D)."""
        tubes = tubes_of(clips, self.config.patch, self.config.frames)  # (B,L,P)
        places = self.positions(-(-clips.shape[1] // self.config.frames), clips.shape[-2:]).to(tubes)  # (1,L,D)
        if kept is not None:
            tubes, places = chosen(tubes, kept), chosen(places, kept)  # (B,K,P), (B,K,D)
        return self.embed(tubes) + places

    def positions(self, times: int, size: torch.Size | tuple[int, int]) -> Tensor:
        """Sines of when and where each of t*h*w tubes is, for frames of (H,W) pixels: (1,L,D)."""
        grid = grid_of((size[0], size[1]), self.config.patch)
        when = sincos_positions((times, 1), self.config.width // 2)[:, : self.config.width // 4]  # (t,D/4)
        where = sincos_positions(grid, self.config.width * 3 // 4, self.native)  # (h*w,3*D/4)
        both = [when.repeat_interleave(len(where), 0), where.repeat(times, 1)]
        return torch.cat(both, 1).unsqueeze(0)


def tokens_of(trunk: nn.Module, clips: Tensor, kept: Tensor | None) -> Tensor:
    """(B,T,C,H,W) standardised -> (B,K,D)."""
    return trunk(clips, kept, pooled=False)


def stages_of(depth: int) -> tuple[Stage, ...]:
    """Tubes with their positions, then each block; the last one with the norm after it."""

    def block(trunk: VideoTransformer, tokens: Tensor, place: int) -> Tensor:
        tokens = trunk.blocks[place](tokens)
        return trunk.norm(tokens) if place == depth - 1 else tokens

    first = Stage("tubes", ("embed",), lambda trunk, clips: trunk.embedded(clips))
    parts = [(f"blocks.{place}", *(("norm",) if place == depth - 1 else ())) for place in range(depth)]
    return (first, *(Stage(f"block {p + 1}", parts[p], partial(block, place=p)) for p in range(depth)))


def build(data: DataSpec[VideoField], config: Config) -> Backbone:
    return Backbone(
        VideoTransformer(data, config),
        config.width,
        data,
        any_size=True,
        patches=PatchTokens(tokens_of, config.patch, frames=config.frames),
        stages=stages_of(config.depth),
        pooled=lambda trunk, tokens: tokens.mean(1),
    )


@hookimpl
def harness_backbone() -> BackboneSpec:
    return BackboneSpec(name="video-vit", build=build, config=Config, takes=("video",), source="arXiv:2203.12602")
