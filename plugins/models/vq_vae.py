"""VQ-VAE: a code of symbols, each the nearest vector of a codebook. Van den Oord et al. 2017, arXiv:1711.00937.

B images, C channels, H=W pixels, h=w positions of the map, D features, E dimensions of a code, K codes, P steps.
The backbone's maps before the spatial mean give E numbers at each position, z_e; the decoder sees the nearest code of
each, z_q, and the gradient passes straight through (section 3.2). The loss is the squared error, in units of the
images' variance, plus commitment * mean (z_e - sg[z_q])^2; codes are moving averages (appendix A.1).
The representation is z_e averaged over positions; a coarser map of z_e, the histogram of the symbols and the
backbone's features can be read too. Needs a backbone with maps.
Differs from the paper: the backbone as the encoder, a small decoder without residual blocks, codes of little use are
replaced, and no PixelCNN: a sample draws the symbol of each position from how often it occurred there in training,
independent of the other positions. The bound on log p(x) that a prior would give is left out with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.codes import decoded_line
from harness.nn.decoders import MapDecoder
from harness.nn.quantiser import Codebook, perplexity
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, hookimpl

COARSE = 4  # positions along a side of the coarser map, at most
LEAST_PERPLEXITY = 1.5  # codes, over all symbols of some images


@dataclass(frozen=True, kw_only=True)
class Config:
    codes: int = 256  # K
    code_dim: int = 32  # E
    commitment: float = 0.25  # beta of the paper
    decay: float = 0.99  # of older batches in the codebook, per batch

    def __post_init__(self) -> None:
        if self.codes < 2 or self.code_dim < 1:
            raise ValueError("codes must be at least 2, code_dim at least 1")
        if self.commitment < 0:
            raise ValueError("commitment must not be negative")
        if not 0 <= self.decay < 1:
            raise ValueError("decay is in [0,1)")


class VQVAE(nn.Module):
    placed: Tensor

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone  # maps: (B,C,H,W) -> (B,D,h,w)
        self.side = backbone.map_size(data.inputs.size)  # h
        self.project = nn.Conv2d(backbone.dim, config.code_dim, 1)  # (B,D,h,w) -> (B,E,h,w)
        self.codebook = Codebook(config.codes, config.code_dim, config.decay)
        self.decoder = MapDecoder(config.code_dim, self.side, data)  # (B,E,h,w) -> (B,C,H,W)
        uniform = torch.full((self.side**2, config.codes), 1 / config.codes)
        self.register_buffer("placed", uniform)  # (h*w,K): how often each symbol is at each position

    def loss(self, batch: Batch) -> Tensor:
        maps = self.maps(batch.inputs)  # z_e (B,E,h,w)
        vectors = self.vectors_of(maps)  # (B*h*w,E)
        if self.training:
            self.codebook.revive(vectors)
        index = self.codebook.nearest(vectors)  # (B*h*w,)
        quantised = self.maps_of(self.codebook(index))  # z_q (B,E,h,w)
        commitment = F.mse_loss(maps.float(), quantised)
        decoded = self.decoder(maps + (quantised - maps).detach()).sigmoid()  # straight through
        reconstruction = ((decoded - batch.inputs) / self.backbone.std).square().mean()
        chosen = F.one_hot(index, self.config.codes).float()  # (B*h*w,K)
        if self.training:
            self.codebook.update(vectors, chosen)
            self._place(chosen)
        use = chosen.sum(0)  # (K,)
        batch.log("reconstruction", reconstruction)
        batch.log("commitment", commitment)
        batch.log("perplexity", perplexity(use))
        batch.log("codes used", (use > 0).float().mean())  # fraction of K, in this batch
        return reconstruction + self.config.commitment * commitment

    @torch.no_grad()
    def _place(self, chosen: Tensor) -> None:
        symbols = chosen.view(-1, *self.placed.shape)  # (B,h*w,K)
        self.placed.lerp_(symbols.mean(0), 1 - self.config.decay)

    def maps(self, images: Tensor) -> Tensor:
        """z_e, before quantisation: (B,C,H,W) -> (B,E,h,w)."""
        return self.project(self.backbone.maps(images))

    def vectors_of(self, maps: Tensor) -> Tensor:
        """(B,E,h,w) -> (B*h*w,E), row by row."""
        return maps.detach().movedim(1, -1).reshape(-1, self.config.code_dim)

    def maps_of(self, vectors: Tensor) -> Tensor:
        """(B*h*w,E) -> (B,E,h,w)."""
        return vectors.view(-1, self.side, self.side, self.config.code_dim).movedim(-1, 1)

    def encode(self, images: Tensor) -> Tensor:
        return self.maps(images).mean((2, 3))  # (B,E)

    def readouts(self) -> tuple[str, ...]:
        coarse = min(COARSE, self.side)
        return ("mean of maps", f"maps at {coarse}x{coarse}", "histogram of symbols", "backbone")

    def read(self, images: Tensor, readout: str) -> Tensor:
        mean, maps, histogram, backbone = self.readouts()
        if readout == maps:
            return F.adaptive_avg_pool2d(self.maps(images), min(COARSE, self.side)).flatten(1)  # (B,16*E) or less
        return {mean: self.encode, histogram: self.histogram, backbone: self.backbone.forward}[readout](images)

    def histogram(self, images: Tensor) -> Tensor:
        """The share of each symbol in an image: (B,C,H,W) -> (B,K)."""
        return F.one_hot(self.symbols(images), self.config.codes).float().mean(1)

    def symbols(self, images: Tensor) -> Tensor:
        return self.codebook.nearest(self.vectors_of(self.maps(images))).view(len(images), -1)  # (B,h*w)

    def code(self, images: Tensor) -> Tensor:
        return self.maps(images).flatten(1)  # z_e (B,E*h*w): decode quantises

    def decode(self, code: Tensor) -> Tensor:
        maps = code.view(-1, self.config.code_dim, self.side, self.side)
        return self.decode_symbols(self.codebook.nearest(self.vectors_of(maps)))

    def decode_symbols(self, index: Tensor) -> Tensor:
        """Symbols (B,h*w), or (B*h*w,), -> (B,C,H,W)."""
        return self.decoder(self.maps_of(self.codebook(index.flatten()))).sigmoid()

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode_symbols(self.symbols(images))

    def code_bits(self) -> float:
        return self.side**2 * log2(self.config.codes)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        index = torch.multinomial(self.placed.cpu(), n, replacement=True, generator=generator).T  # (n,h*w)
        return self.decode_symbols(index.to(self.placed.device))

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        return decoded_line(self.decode, self.code(start), self.code(end), steps)  # (B,P,C,H,W)

    def diagnose(self, images: Tensor) -> str:
        use = torch.bincount(self.symbols(images).flatten(), minlength=self.config.codes).float()
        if perplexity(use) >= LEAST_PERPLEXITY:
            return ""
        used = f"{len(images)} images use {int((use > 0).sum())} of {self.config.codes} codes"
        return f"dead codebook: {used} (perplexity {float(perplexity(use)):.2f}); lower train.learning_rate"


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="vq-vae", kind="model", build=VQVAE, config=Config, source="arXiv:1711.00937")
