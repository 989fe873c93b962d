"""Denoising autoencoder: restore the image from a corrupted copy. Vincent et al. 2010, JMLR 11:3371-3408, section 3.

B images, C channels, H=W pixels, D features, L latent dimensions, P interpolation steps.
The encoder sees the corrupted image, the error is against the clean one, summed over pixels. The representation is
the code of the clean image. Every batch is corrupted anew, values one by one:
gaussian  x + level * N(0, I), not clamped: level is a standard deviation in pixel values
masking   set to 0 with probability `level`
Sampling decodes a Gaussian fitted to the codes of training, as in `autoencoder`.
Differs from the paper: one deep network trained at once instead of stacked layers. Batch normalisation keeps the
statistics of corrupted images and applies them to clean ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from harness.nn.codes import CodeGaussian, decoded_line
from harness.nn.decoders import Kind, code_decoder
from harness.nn.likelihoods import Error, reconstruction_error
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    latent_dim: int = 32  # L
    corruption: Literal["gaussian", "masking"] = "masking"
    level: float = 0.25  # standard deviation (gaussian), or probability of losing a value (masking)
    error: Error = "mse"  # bce: cross-entropy of grey values in nats
    decoder: Kind = "conv"  # mlp: one hidden layer
    hidden: int = 400  # units of the mlp decoder's hidden layer

    def __post_init__(self) -> None:
        if self.latent_dim < 1 or self.hidden < 1:
            raise ValueError("latent_dim and hidden must be at least 1")
        if self.level < 0:
            raise ValueError("level must not be negative")
        if self.corruption == "masking" and self.level >= 1:
            raise ValueError("level is the probability of losing a value: below 1")


class DenoisingAutoencoder(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        self.bottleneck = nn.Linear(backbone.dim, config.latent_dim)  # (B,D) -> (B,L)
        self.decoder = code_decoder(config.decoder, config.latent_dim, data, config.hidden)  # (B,L) -> (B,C,H,W)
        self.gaussian = CodeGaussian(config.latent_dim)

    def loss(self, batch: Batch) -> Tensor:
        code = self.code(self.corrupted(batch.inputs))  # (B,L)
        if self.training:
            self.gaussian.update(code)
        return reconstruction_error(self.config.error, self.decoder(code), batch.inputs)

    def corrupted(self, images: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W), every value with a draw of its own from the global generator."""
        if self.config.corruption == "gaussian":
            return images + self.config.level * torch.randn_like(images)
        return images * (torch.rand_like(images) >= self.config.level)

    def encode(self, images: Tensor) -> Tensor:
        return self.code(images)  # (B,L)

    def readouts(self) -> tuple[str, ...]:
        return ("code", "backbone")

    def read(self, images: Tensor, readout: str) -> Tensor:
        return {"code": self.code, "backbone": self.backbone.forward}[readout](images)  # (B,L) or (B,D)

    def code(self, images: Tensor) -> Tensor:
        return self.bottleneck(self.backbone(images))  # (B,L)

    def decode(self, code: Tensor) -> Tensor:
        return self.decoder(code).sigmoid()  # (B,C,H,W)

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.code(images))

    def code_bits(self) -> float:
        return 32.0 * self.config.latent_dim  # float32

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return self.decode(self.gaussian.draw(n, generator))

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        return decoded_line(self.decode, self.code(start), self.code(end), steps)  # (B,P,C,H,W)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="denoising-autoencoder",
        kind="model",
        build=DenoisingAutoencoder,
        config=Config,
        source="Vincent et al. 2010, JMLR 11:3371-3408",
    )
