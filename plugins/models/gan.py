"""DCGAN: a generator learns to fool a discriminator. Goodfellow et al. 2014, arXiv:1406.2661; Radford 2016, 1511.06434.

B images, C channels, H=W pixels, D features, Z dimensions of the noise.
One batch is the algorithm box: make fakes; train D on real and fake; freeze D, train G to fool it. Both turns see the
same fakes. The backbone is the trunk of the discriminator, and the representation is read from it (Radford, section 5).
Differs from the paper: the discriminator is the run's backbone with a hidden layer, and its batch normalisation is held
at its initial statistics (see harness.nn.discriminators); R1 keeps it from running away from the generator (Mescheder
et al. 2018, arXiv:1801.04406); samples come from a moving average of G.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from harness.nn.adversarial import RECIPE, discriminator_loss, min_max, non_saturating, real_gradient_penalty
from harness.nn.discriminators import Discriminator, RunningOutputs
from harness.nn.generators import Generator, noise_like
from harness.nn.moving_average import ExponentialMovingAverage
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, hookimpl

FOOL = {"non-saturating": non_saturating, "minmax": min_max}


@dataclass(frozen=True, kw_only=True)
class Config:
    loss: Literal["non-saturating", "minmax"] = "non-saturating"  # of the generator
    real_label: float = 0.9  # what D is to say of real images; below 1: one-sided label smoothing
    penalty: float = 0.1  # weight of R1, the squared gradient of D on real images; 0: none
    noise_dim: int = 64  # Z
    width: int = 32  # channels of the generator's last maps
    hidden: int = 128  # units between the backbone and the logit
    average: float = 0.99  # decay of the generator's moving average, per step; 0: sample from the last weights

    def __post_init__(self) -> None:
        if not 0.5 < self.real_label <= 1:
            raise ValueError("real_label must be in (0.5,1]")
        if self.penalty < 0:
            raise ValueError("penalty must not be negative (0: none)")
        if min(self.noise_dim, self.width, self.hidden) < 1:
            raise ValueError("noise_dim, width and hidden must be at least 1")
        if not 0 <= self.average < 1:
            raise ValueError("average is a decay in [0,1)")


class GAN(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.discriminator = Discriminator(backbone, data, config.hidden)  # (B,C,H,W) -> (B,)
        self.generator = Generator(config.noise_dim, data, config.width)  # (B,Z) -> (B,C,H,W)
        self.averaged = ExponentialMovingAverage(self.generator, config.average)
        self.outputs = RunningOutputs()

    @property
    def backbone(self) -> Backbone:
        return self.discriminator.features.backbone  # a part of the discriminator, and registered there alone

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        fakes = self.generator(noise_like(batch.inputs, self.config.noise_dim))  # (B,C,H,W)

        images = batch.inputs.detach().requires_grad_(self.config.penalty > 0)
        real = self.discriminator(images)  # (B,) logits
        fake = self.discriminator(fakes.detach())
        self.outputs.update(batch, real, fake)
        loss = discriminator_loss(real, fake, self.config.real_label)
        if self.config.penalty:
            loss = loss + self.config.penalty / 2 * real_gradient_penalty(real, images)
        yield "discriminator", loss

        fooled = self.discriminator(fakes)  # by the discriminator just updated, whose weights now stay
        yield "generator", FOOL[self.config.loss](fooled)

    def after_step(self) -> None:
        self.averaged.update(self.generator)

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)

    def readouts(self) -> tuple[str, ...]:
        return self.discriminator.features.readouts()

    def read(self, images: Tensor, readout: str) -> Tensor:
        return self.discriminator.features.read(images, readout)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        noise = torch.randn(n, self.config.noise_dim, generator=generator)
        return self.averaged.network(noise.to(self.backbone.mean.device))

    def diagnose(self, images: Tensor) -> str:
        return self.outputs.diagnosis(self.config.real_label)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="gan",
        kind="model",
        build=GAN,
        config=Config,
        source="arXiv:1406.2661, arXiv:1511.06434",
        recipe=RECIPE,
    )
