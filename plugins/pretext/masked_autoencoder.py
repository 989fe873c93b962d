"""Masked autoencoder: see a quarter of an image's patches and draw the others. He et al. 2022,
arXiv:2111.06377, section 3.

B images, C channels, H=W pixels, S pixels of a patch's side, L patches, K kept, M=L-K masked, P=C*S*S values of a
patch, D features, E tokens before those of patches, V features in the decoder.
The loss is the mean squared error of masked patches alone, each less its own mean and over its own deviation (section
4.1, "reconstruction target"). The backbone never sees what is masked; the decoder, which is thrown away, sees a token
for each. Since a transformer knows no order, kept and masked tokens are not put in theirs: each carries its position.
Differs from the paper: images as they are, where it crops and mirrors them; the mean of the patches' tokens is the
representation, or their mean and deviation, whichever is better on validation; small networks for small images.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.patches import chosen, grid_of, patches_of, sincos_positions
from harness.nn.transformer import Block
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, NotApplicable, hookimpl

MEAN, SPREAD = "mean of tokens", "mean and deviation of tokens"  # where it can be read
FLATTEST = 1e-6  # added to a patch's variance, as in the authors' code


@dataclass(frozen=True, kw_only=True)
class Config:
    masked: float = 0.75  # fraction of the patches that are hidden, in (0,1)
    normalise: bool = True  # draw patches less their mean and over their deviation, or as they are
    decoder_width: int = 64  # V, a multiple of 4 and of decoder_heads
    decoder_depth: int = 2  # blocks of attention
    decoder_heads: int = 2  # of each block's attention

    def __post_init__(self) -> None:
        if not 0 < self.masked < 1:
            raise ValueError("masked is a fraction in (0,1)")
        if min(self.decoder_width, self.decoder_depth, self.decoder_heads) < 1:
            raise ValueError("decoder_width, decoder_depth and decoder_heads must be at least 1")
        if self.decoder_width % self.decoder_heads or self.decoder_width % 4:
            raise ValueError(f"decoder_width must be a multiple of 4 and of decoder_heads={self.decoder_heads}")


class MaskedAutoencoder(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        grid = grid_of((data.inputs.size, data.inputs.size), backbone.patch)  # (h,w)
        self.count = grid[0] * grid[1]  # L
        if self.count < 2:
            raise NotApplicable(f"{data.inputs.title} images are one patch of {backbone.patch} pixels: take a smaller")
        self.seen = min(max(round((1 - config.masked) * self.count), 1), self.count - 1)  # K
        self.normalise = config.normalise
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        self.decoder = Decoder(backbone, data.inputs.channels, grid, config)

    def loss(self, batch: Batch) -> Tensor:
        kept, masked = self.split(batch.inputs)  # (B,K), (B,M)
        drawn = self.decoder(self.backbone.tokens(batch.inputs, kept), kept, masked)  # (B,M,P)
        return F.mse_loss(drawn.float(), chosen(self.targets(batch.inputs), masked))

    def split(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The patches of each image in a random order of its own: the places of the first K, and of the others."""
        order = torch.rand(len(images), self.count, device=images.device).argsort(1)
        return order[:, : self.seen], order[:, self.seen :]

    def targets(self, images: Tensor) -> Tensor:
        """What is to be drawn: (B,C,H,W) -> (B,L,P)."""
        patches = patches_of(self.backbone.standardise(images), self.backbone.patch)
        if not self.normalise:
            return patches
        deviation = (patches.var(2, keepdim=True) + FLATTEST).sqrt()
        return (patches - patches.mean(2, keepdim=True)) / deviation

    def encode(self, images: Tensor) -> Tensor:
        return self.read(images, MEAN)  # (B,D), of all patches

    def readouts(self) -> tuple[str, ...]:
        return (MEAN, SPREAD)

    def read(self, images: Tensor, readout: str) -> Tensor:
        tokens = self.backbone.tokens(images)[:, self.backbone.extra_tokens :]  # (B,L,D)
        if readout == MEAN:
            return tokens.mean(1)
        return torch.cat([tokens.mean(1), tokens.std(1, correction=0)], 1)  # (B,2*D)


class Decoder(nn.Module):
    """Tokens of the patches that were kept, and where all are -> the others: (B,E+K,D), (B,K), (B,M) -> (B,M,P)."""

    positions: Tensor  # (1,L,V)

    def __init__(self, backbone: Backbone, channels: int, grid: tuple[int, int], config: Config) -> None:
        super().__init__()
        width = config.decoder_width
        self.extra = backbone.extra_tokens  # E
        self.embed = nn.Linear(backbone.dim, width)
        self.mask = nn.Parameter(0.02 * torch.randn(1, 1, width))  # what stands for a masked patch
        self.register_buffer("positions", sincos_positions(grid, width).unsqueeze(0), persistent=False)
        self.blocks = nn.Sequential(*[Block(width, config.decoder_heads) for _ in range(config.decoder_depth)])
        self.norm = nn.LayerNorm(width)
        self.draw = nn.Linear(width, channels * backbone.patch**2)

    def forward(self, tokens: Tensor, kept: Tensor, masked: Tensor) -> Tensor:
        tokens = self.embed(tokens)  # (B,E+K,V)
        seen = tokens[:, self.extra :] + chosen(self.positions, kept)
        unseen = self.mask + chosen(self.positions, masked)  # (B,M,V)
        decoded = self.blocks(torch.cat([tokens[:, : self.extra], seen, unseen], 1))  # (B,E+L,V)
        return self.draw(self.norm(decoded[:, -masked.shape[1] :]))


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="masked-autoencoder",
        kind="pretext",
        build=MaskedAutoencoder,
        config=Config,
        recipe={"learning_rate": 1e-3, "weight_decay": 0.05, "beta2": 0.95},
        source="arXiv:2111.06377",
    )
