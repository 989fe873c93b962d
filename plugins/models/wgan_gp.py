"""Wasserstein GAN with gradient penalty: a critic estimates a distance. Gulrajani et al. 2017, arXiv:1704.00028.

B images, C channels, H=W pixels, D features, Z dimensions of the noise.
Algorithm 1: n_critic turns of the critic, each on fresh images and fakes with a penalty of 10 per image on
interpolates, then one turn of the generator. A batch is cut into n_critic parts, so that the budget counts every image
that the critic sees; the generator's batch is as large as a part. The backbone is the critic's trunk, where the
representation is read.
A penalty on the gradient of each image forbids batch statistics: all batch normalisation of the backbone stays in eval
mode at its initial statistics, so that it only scales and shifts.
Differs from the paper: two turns of the critic instead of five, since the images are the budget, and G gains more from
turns of its own; the critic is the run's backbone with a hidden layer; samples come from a moving average of G.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.nn.adversarial import RECIPE, gradient_penalty, wasserstein_critic, wasserstein_generator
from harness.nn.discriminators import Discriminator
from harness.nn.generators import Generator, noise_like
from harness.nn.moving_average import ExponentialMovingAverage
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    n_critic: int = 2  # turns of the critic for one of the generator; parts of a batch
    penalty: float = 10.0  # lambda, weight of the gradient penalty
    noise_dim: int = 64  # Z
    width: int = 32  # channels of the generator's last maps
    hidden: int = 128  # units between the backbone and the critic's score
    average: float = 0.99  # decay of the generator's moving average, per step; 0: sample from the last weights

    def __post_init__(self) -> None:
        if min(self.n_critic, self.noise_dim, self.width, self.hidden) < 1:
            raise ValueError("n_critic, noise_dim, width and hidden must be at least 1")
        if self.penalty < 0:
            raise ValueError("penalty must not be negative")
        if not 0 <= self.average < 1:
            raise ValueError("average is a decay in [0,1)")


class WGANGP(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.critic = Discriminator(backbone, data, config.hidden)  # (B,C,H,W) -> (B,)
        self.generator = Generator(config.noise_dim, data, config.width)  # (B,Z) -> (B,C,H,W)
        self.averaged = ExponentialMovingAverage(self.generator, config.average)

    @property
    def backbone(self) -> Backbone:
        return self.critic.features.backbone  # a part of the critic, and registered there alone

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        for real in batch.inputs.chunk(self.config.n_critic):  # (B/n_critic,C,H,W)
            noise = noise_like(real, self.config.noise_dim)
            with torch.no_grad():
                fakes = self.generator(noise)
            distance = -wasserstein_critic(self.critic(real), self.critic(fakes))
            penalty = gradient_penalty(self.critic, real, fakes)
            yield "critic", -distance + self.config.penalty * penalty
        batch.log("distance", distance)
        batch.log("penalty", penalty)
        yield "generator", wasserstein_generator(self.critic(self.generator(noise)))

    def after_step(self) -> None:
        self.averaged.update(self.generator)

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)

    def readouts(self) -> tuple[str, ...]:
        return self.critic.features.readouts()

    def read(self, images: Tensor, readout: str) -> Tensor:
        return self.critic.features.read(images, readout)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        noise = torch.randn(n, self.config.noise_dim, generator=generator)
        return self.averaged.network(noise.to(self.backbone.mean.device))


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="wgan-gp", kind="model", build=WGANGP, config=Config, source="arXiv:1704.00028", recipe=RECIPE
    )
