"""Variational autoencoder. Kingma and Welling 2014, arXiv:1312.6114, equations 7 and 10; beta: Higgins et al. 2017.

B images, C channels, H=W pixels, D features, L latent dimensions, S importance samples.
The loss is the negative evidence lower bound in nats per image: the reconstruction term summed over pixels, plus beta
times the divergence of q(z|x) = N(mu, sigma^2) from N(0, I). The representation is mu, never a draw of z.
p(x|z) is Bernoulli; Gaussian with unit variance, which is more than an image has, so that little is kept of it; or
Gaussian with a variance that is learned. A Bernoulli is never sure of a grey value: what it keeps of colours is grey.
Differs from the paper: a convolutional decoder by default, AdamW, and grey values as Bernoulli means, as is common.
The perceptron of 784-400-40-400-784 units that is often reported is `vae[latent_dim=40,decoder=mlp]` on the backbone
`mlp[standardise=false]`, which sees pixels as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal

import torch
from torch import Tensor, nn

from harness.nn.calibrated_gaussian import CalibratedGaussian
from harness.nn.codes import ACTIVE, active_units, decoded_line
from harness.nn.decoders import Kind, code_decoder
from harness.nn.likelihoods import log_likelihood, nll
from harness.nn.schedules import linear
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, hookimpl

DECODED = 256  # images at once, in the bound: what fits in a cache


@dataclass(frozen=True, kw_only=True)
class Config:
    latent_dim: int = 32  # L
    beta: float = 1.0  # weight of the divergence; 1 is the evidence lower bound
    warmup: float = 0.0  # fraction of the budget in [0,1] in which that weight rises linearly from 0 to beta
    likelihood: Literal["auto", "bernoulli", "gaussian", "calibrated"] = "auto"  # auto: calibrated for colours
    decoder: Kind = "conv"  # mlp: one hidden layer
    hidden: int = 400  # units of the mlp decoder's hidden layer

    def __post_init__(self) -> None:
        if self.latent_dim < 1 or self.hidden < 1:
            raise ValueError("latent_dim and hidden must be at least 1")
        if self.beta < 0:
            raise ValueError("beta must not be negative")
        if not 0 <= self.warmup <= 1:
            raise ValueError("warmup is a fraction of the budget in [0,1]")


class VAE(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.likelihood = likelihood_for(data, config)
        self.calibrated = CalibratedGaussian()  # p(x|z) where that is the likelihood
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        self.posterior = nn.Linear(backbone.dim, 2 * config.latent_dim)  # (B,D) -> (B,2L)
        self.decoder = code_decoder(config.decoder, config.latent_dim, data, config.hidden)  # (B,L) -> (B,C,H,W)

    def loss(self, batch: Batch) -> Tensor:
        mu, log_variance = self.posterior_of(batch.inputs)
        z = mu + torch.randn_like(mu) * (0.5 * log_variance).exp()  # (B,L)
        reconstruction = self._reconstruction_term(self.decoder(z), batch.inputs)
        divergence = kl_from_standard_normal(mu, log_variance)
        batch.log("reconstruction", reconstruction)
        batch.log("divergence", divergence)
        batch.log("active units", active_units(mu))
        return reconstruction + self.beta_at(batch.progress) * divergence  # nats per image

    def _reconstruction_term(self, logits: Tensor, images: Tensor) -> Tensor:
        """-log p(x|z), mean over the batch: nats per image."""
        if self.likelihood == "calibrated":
            return self.calibrated.nll(logits, images)
        return nll(self.likelihood, logits, images)

    def _log_likelihood(self, logits: Tensor, images: Tensor) -> Tensor:
        """log p(x|z) of each image: (B,C,H,W) twice -> (B,) nats."""
        if self.likelihood == "calibrated":
            return self.calibrated.log_likelihood(logits, images)
        return log_likelihood(self.likelihood, logits, images)

    def beta_at(self, progress: float) -> float:
        """The weight of the divergence once this fraction of the budget is spent."""
        return linear(0.0, self.config.beta, progress, until=self.config.warmup)

    def posterior_of(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B,C,H,W) -> mu and log sigma^2 of q(z|x), (B,L) each."""
        mu, log_variance = self.posterior(self.backbone(images)).chunk(2, dim=1)
        return mu, log_variance

    def encode(self, images: Tensor) -> Tensor:
        return self.posterior_of(images)[0]  # mu (B,L)

    def readouts(self) -> tuple[str, ...]:
        return ("mu", "backbone")

    def read(self, images: Tensor, readout: str) -> Tensor:
        return {"mu": self.encode, "backbone": self.backbone.forward}[readout](images)  # (B,L) or (B,D)

    def code(self, images: Tensor) -> Tensor:
        return self.encode(images)  # (B,L)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z).sigmoid()  # (B,C,H,W)

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))

    def code_bits(self) -> float:
        return 32.0 * self.config.latent_dim  # mu as float32

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        z = torch.randn(n, self.config.latent_dim, generator=generator)
        return self.decode(z.to(self.posterior.weight.device))

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        return decoded_line(self.decode, self.encode(start), self.encode(end), steps)  # (B,P,C,H,W)

    def log_likelihood_bound(self, images: Tensor, samples: int) -> Tensor:
        """log 1/S sum_s p(x|z_s) p(z_s) / q(z_s|x), z_s from q(z|x): (B,C,H,W) -> (B,) nats per image.

        Burda et al. 2016, arXiv:1509.00519, equation 8; S = 1 gives the evidence lower bound. For grey values the
        Bernoulli p(x|z) is no density: its bound compares only with that of other Bernoulli decoders.
        """
        return torch.cat([self._bound(part, samples) for part in images.split(DECODED)])

    def _bound(self, images: Tensor, samples: int) -> Tensor:
        mu, log_variance = (moment.float() for moment in self.posterior_of(images))  # (B,L) twice
        total = mu.new_full((len(images),), -torch.inf)  # log of the sum of the weights so far (B,)
        at_once = max(1, DECODED // len(images))
        for done in range(0, samples, at_once):
            shape = (min(at_once, samples - done), *mu.shape)
            noise = torch.randn(shape, device=mu.device)  # (S,B,L)
            z = mu + noise * (0.5 * log_variance).exp()
            repeated = images.expand(len(z), *images.shape).flatten(0, 1)  # (S*B,C,H,W)
            log_p = self._log_likelihood(self.decoder(z.flatten(0, 1)), repeated).view(len(z), -1)
            # log p(z) - log q(z|x): both Gaussians have the same constant
            log_ratio = 0.5 * (noise.square() + log_variance - z.square()).sum(2)  # (S,B)
            total = torch.logaddexp(total, (log_p + log_ratio).logsumexp(0))
        return total - log(samples)

    def diagnose(self, images: Tensor) -> str:
        if active_units(self.encode(images)) > 0:
            return ""
        found = f"none of {self.config.latent_dim} latent units has a variance of mu above {ACTIVE} between images"
        return f"posterior collapse: {found}; lower beta, or give it a warmup"


def likelihood_for(data: DataSpec[ImageField], config: Config) -> Literal["bernoulli", "gaussian", "calibrated"]:
    if config.likelihood == "auto":
        return "calibrated" if data.inputs.channels > 1 else "bernoulli"
    return config.likelihood


def kl_from_standard_normal(mu: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mu, sigma^2) || N(0, I)) of (B,L), summed over dimensions, mean over the batch: nats per image."""
    return -0.5 * (1 + log_variance - mu.square() - log_variance.exp()).sum(1).mean()


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="vae", kind="model", build=VAE, config=Config, source="arXiv:1312.6114")
