"""Text to image, GAN-CLS: a discriminator that knows whether image and caption match. Reed et al. 2016, 1605.05396.

Algorithm 1: a real image with its caption is genuine; a fake with the caption it was made for, and a real image with
another's caption, are not, with half the weight each. With `interpolation`, GAN-INT (equation 5): the generator is also
to fool the discriminator for captions halfway between two.
B images, C channels, H=W pixels, D features, L words, Z dimensions of the noise, E of an embedded caption.
The backbone is the image branch of the discriminator. It never sees the caption, and the representation is read there.
Differs from the paper: the wrong caption is the most alike of the batch, not any other, so that single words count; a
caption is the mean of its words' embeddings, which each network learns for itself, instead of a pre-trained text
encoder; image and caption meet by projection (Miyato and Koyama 2018, arXiv:1802.05637); R1 keeps the discriminator
from running away (Mescheder et al. 2018, arXiv:1801.04406); samples come from a moving average of the generator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from harness.nn.adversarial import RECIPE, matching_aware_loss, non_saturating, real_gradient_penalty
from harness.nn.conditions import ConditionEncoder, condition_of, mismatched, nearly_matched, shuffled
from harness.nn.discriminators import MatchingDiscriminator, RunningOutputs
from harness.nn.generators import ConditionalGenerator, noise_like
from harness.nn.moving_average import ExponentialMovingAverage
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, hookimpl

WRONG = {"any": mismatched, "near": nearly_matched}


@dataclass(frozen=True, kw_only=True)
class Config:
    wrong: Literal["any", "near"] = "near"  # which other caption of the batch: any, or the one that is most alike
    interpolation: float = 0.0  # weight of GAN-INT's term in the generator's loss; the paper: 1
    real_label: float = 0.9  # what D is to say of real images with their caption; below 1: one-sided label smoothing
    penalty: float = 0.1  # weight of R1, the squared gradient of D on real images; 0: none
    noise_dim: int = 64  # Z
    embedding_dim: int = 64  # E
    width: int = 32  # channels of the generator's last maps
    hidden: int = 256  # units between the backbone and the logit
    average: float = 0.99  # decay of the generator's moving average, per step; 0: sample from the last weights

    def __post_init__(self) -> None:
        if self.interpolation < 0:
            raise ValueError("interpolation must not be negative")
        if not 0.5 < self.real_label <= 1:
            raise ValueError("real_label must be in (0.5,1]")
        if self.penalty < 0:
            raise ValueError("penalty must not be negative (0: none)")
        if min(self.noise_dim, self.embedding_dim, self.width, self.hidden) < 1:
            raise ValueError("noise_dim, embedding_dim, width and hidden must be at least 1")
        if not 0 <= self.average < 1:
            raise ValueError("average is a decay in [0,1)")


class TextToImage(nn.Module):
    condition = "captions"

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        gain = (data.captions.length if data.captions else 1) ** 0.5  # keeps the variance of one word
        shown, judged = (
            ConditionEncoder("captions", data, config.embedding_dim, gain) for _ in range(2)
        )  # (B,L)->(B,E)
        self.discriminator = MatchingDiscriminator(backbone, data, config.hidden, judged)
        self.generator = ConditionalGenerator(config.noise_dim, shown, data, config.width)
        self.averaged = ExponentialMovingAverage(self.generator, config.average)
        self.outputs = RunningOutputs()

    @property
    def backbone(self) -> Backbone:
        return self.discriminator.features.backbone  # a part of the discriminator, and registered there alone

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        captions = condition_of(batch, "captions")  # (B,L)
        fakes = self.generator(noise_like(batch.inputs, self.config.noise_dim), captions)  # (B,C,H,W)

        others, differs = WRONG[self.config.wrong](captions)
        images = batch.inputs.detach().requires_grad_(self.config.penalty > 0)
        right, wrong = self.discriminator.judge(images, captions, captions, others)  # (B,) logits
        fake = self.discriminator(fakes.detach(), captions)
        self.outputs.update(batch, right, fake)
        loss = matching_aware_loss(right, fake, wrong, differs, self.config.real_label)
        if self.config.penalty:
            loss = loss + self.config.penalty / 2 * real_gradient_penalty(right, images)
        yield "discriminator", loss

        fooled = non_saturating(self.discriminator(fakes, captions))
        if self.config.interpolation:
            fooled = fooled + self.config.interpolation * self.fooled_halfway(captions)
        yield "generator", fooled

    def fooled_halfway(self, captions: Tensor) -> Tensor:
        """The generator's loss for captions halfway between those of two images, which no image shows."""
        others = shuffled(captions)
        shown, judged = (
            (network.condition(captions) + network.condition(others)) / 2
            for network in (self.generator, self.discriminator)
        )  # (B,E) each
        fakes = self.generator.make(torch.randn(len(captions), self.config.noise_dim, device=captions.device), shown)
        return non_saturating(self.discriminator.match(self.discriminator.features(fakes), judged))

    def after_step(self) -> None:
        self.averaged.update(self.generator)

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)

    def readouts(self) -> tuple[str, ...]:
        return self.discriminator.features.readouts()

    def read(self, images: Tensor, readout: str) -> Tensor:
        return self.discriminator.features.read(images, readout)

    def sample_as(self, condition: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(len(condition), self.config.noise_dim, generator=generator)
        return self.averaged.network(noise.to(condition.device), condition)

    def diagnose(self, images: Tensor) -> str:
        return self.outputs.diagnosis(self.config.real_label)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="text-to-image",
        kind="model",
        build=TextToImage,
        config=Config,
        source="arXiv:1605.05396",
        uses=("captions",),
        recipe=RECIPE,
    )
