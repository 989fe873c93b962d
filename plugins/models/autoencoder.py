"""Autoencoder: reproduce the image through a narrow code. Hinton and Salakhutdinov 2006, doi:10.1126/science.1127647.

B images, C channels, H=W pixels, D features, L latent dimensions, P interpolation steps.
The code is a linear map of the backbone's features; the loss is the error of the decoded image, summed over pixels.
Nothing shapes the distribution of the codes: to sample, a Gaussian is fitted to those of training after the fact
(Ghosh et al. 2020, arXiv:1903.12436, section 4), which shows how far a plain autoencoder is from a generative model.
Differs from the paper: trained at once by AdamW, without restricted Boltzmann machines first.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.nn.codes import CodeGaussian, decoded_line
from harness.nn.decoders import Kind, code_decoder
from harness.nn.likelihoods import Error, reconstruction_error
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    latent_dim: int = 32  # L
    error: Error = "mse"  # bce: cross-entropy of grey values in nats
    decoder: Kind = "conv"  # mlp: one hidden layer
    hidden: int = 400  # units of the mlp decoder's hidden layer

    def __post_init__(self) -> None:
        if self.latent_dim < 1 or self.hidden < 1:
            raise ValueError("latent_dim and hidden must be at least 1")


class Autoencoder(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        self.bottleneck = nn.Linear(backbone.dim, config.latent_dim)  # (B,D) -> (B,L)
        self.decoder = code_decoder(config.decoder, config.latent_dim, data, config.hidden)  # (B,L) -> (B,C,H,W)
        self.gaussian = CodeGaussian(config.latent_dim)

    def loss(self, batch: Batch) -> Tensor:
        code = self.code(batch.inputs)  # (B,L)
        if self.training:
            self.gaussian.update(code)
        return reconstruction_error(self.config.error, self.decoder(code), batch.inputs)

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
        name="autoencoder", kind="model", build=Autoencoder, config=Config, source="doi:10.1126/science.1127647"
    )
