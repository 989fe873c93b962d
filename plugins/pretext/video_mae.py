"""Masked autoencoder of clips: see a tenth of the places, all the time, and draw the others. Tong et al. 2022,
arXiv:2203.12602, section 3.

A place is hidden in all frames or in none (tube masking, section 3.2): what does not move could else be copied from a
frame in which it is not hidden. The loss is the mean squared error of the hidden tubes, each less its own mean and over
its own deviation. The backbone, `video-vit`, never sees what is hidden; the decoder, which is thrown away, sees a token
for each. The mean of the tubes' tokens is the representation.
Differs from the paper: no crops; small networks for small clips.

B clips, T frames, C channels, H=W pixels, t times of h*w places, L=t*h*w tubes, K kept, M=L-K hidden, P values of a
tube, D features, V features in the decoder.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.patches import chosen, grid_of, sincos_positions, tubes_of
from harness.nn.transformer import Block
from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NotApplicable, VideoField, hookimpl

FLATTEST = 1e-6  # added to a tube's variance, as in the authors' code


@dataclass(frozen=True, kw_only=True)
class Config:
    masked: float = 0.9  # fraction of the places that are hidden, in (0,1)
    normalise: bool = True  # draw tubes less their mean and over their deviation, or as they are
    decoder_width: int = 64  # V, a multiple of 8 and of decoder_heads
    decoder_depth: int = 2  # blocks of attention
    decoder_heads: int = 2  # of each block's attention

    def __post_init__(self) -> None:
        if not 0 < self.masked < 1:
            raise ValueError("masked is a fraction in (0,1)")
        if min(self.decoder_width, self.decoder_depth, self.decoder_heads) < 1:
            raise ValueError("decoder_width, decoder_depth and decoder_heads must be at least 1")
        if self.decoder_width % self.decoder_heads or self.decoder_width % 8:
            raise ValueError(f"decoder_width must be a multiple of 8 and of decoder_heads={self.decoder_heads}")


class VideoMaskedAutoencoder(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[VideoField], config: Config) -> None:
        super().__init__()
        side, frames = backbone.patch, backbone.tube
        grid = grid_of((data.inputs.size, data.inputs.size), side)  # (h,w)
        self.times, self.places = -(-data.inputs.frames // frames), grid[0] * grid[1]  # t, h*w
        if self.places < 2:
            raise NotApplicable(f"frames of {data.inputs.frame.title} are one patch of {side} pixels: take a smaller")
        self.seen = min(max(round((1 - config.masked) * self.places), 1), self.places - 1)  # places
        self.normalise = config.normalise
        self.backbone = backbone  # (B,T,C,H,W) -> (B,D)
        values = frames * data.inputs.channels * side**2  # P
        self.decoder = Decoder(backbone.dim, values, (self.times, *grid), config)

    def loss(self, batch: Batch) -> Tensor:
        kept, masked = self.split(batch.inputs)  # (B,K), (B,M)
        drawn = self.decoder(self.backbone.tokens(batch.inputs, kept), kept, masked)  # (B,M,P)
        return F.mse_loss(drawn.float(), chosen(self.targets(batch.inputs), masked))

    def split(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """The tubes of each clip that are kept, and the others: at every time those of the same places."""
        order = torch.rand(len(clips), self.places, device=clips.device).argsort(1)  # (B,h*w)
        begins = torch.arange(self.times, device=clips.device)[:, None] * self.places  # (t,1)
        kept, masked = ((begins + part[:, None]).flatten(1) for part in (order[:, : self.seen], order[:, self.seen :]))
        return kept, masked

    def targets(self, clips: Tensor) -> Tensor:
        """What is to be drawn: (B,T,C,H,W) -> (B,L,P)."""
        tubes = tubes_of(self.backbone.standardise(clips), self.backbone.patch, self.backbone.tube)
        if not self.normalise:
            return tubes
        return (tubes - tubes.mean(2, keepdim=True)) / (tubes.var(2, keepdim=True) + FLATTEST).sqrt()

    def encode(self, clips: Tensor) -> Tensor:
        return self.backbone(clips)  # (B,D), of all tubes


class Decoder(nn.Module):
    """Tokens of the tubes that were kept, and where all are -> the others: (B,K,D), (B,K), (B,M) -> (B,M,P)."""

    positions: Tensor  # (1,L,V)

    def __init__(self, dim: int, values: int, grid: tuple[int, int, int], config: Config) -> None:
        super().__init__()
        width, (times, rows, columns) = config.decoder_width, grid
        self.embed = nn.Linear(dim, width)
        self.mask = nn.Parameter(0.02 * torch.randn(1, 1, width))  # what stands for a hidden tube
        when = sincos_positions((times, 1), width)[:, : width // 2]  # (t,V/2)
        where = sincos_positions((rows, columns), width // 2)  # (h*w,V/2)
        both = [when.repeat_interleave(len(where), 0), where.repeat(times, 1)]
        self.register_buffer("positions", torch.cat(both, 1).unsqueeze(0), persistent=False)
        self.blocks = nn.Sequential(*[Block(width, config.decoder_heads) for _ in range(config.decoder_depth)])
        self.norm = nn.LayerNorm(width)
        self.draw = nn.Linear(width, values)

    def forward(self, tokens: Tensor, kept: Tensor, masked: Tensor) -> Tensor:
        seen = self.embed(tokens) + chosen(self.positions, kept)  # (B,K,V)
        hidden = self.mask + chosen(self.positions, masked)  # (B,M,V)
        decoded = self.blocks(torch.cat([seen, hidden], 1))  # (B,L,V)
        return self.draw(self.norm(decoded[:, -masked.shape[1] :]))


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="video-mae",
        kind="pretext",
        build=VideoMaskedAutoencoder,
        config=Config,
        takes=("video",),
        recipe={"learning_rate": 1e-3, "weight_decay": 0.05, "beta2": 0.95},
        source="arXiv:2203.12602",
    )
