"""Class-conditional GAN: the discriminator says genuine only for a real image with its right label.

Mirza and Osindero 2014, arXiv:1411.1784; real images with wrong labels are trained as fake, as in the matching-aware
discriminator of Reed et al. 2016, arXiv:1605.05396, with half the weight of a fake each; the label enters the
discriminator by projection, Miyato and Koyama 2018, arXiv:1802.05637.
B images, C channels, H=W pixels, D features, Z dimensions of the noise, E of an embedded label, N candidates.
The backbone is the trunk of the discriminator. It never sees the label, and the representation is read from it.
Differs from the papers: the generator gets the label's embedding beside the noise; a wrong label is that of another
image of the batch; the discriminator also sees how much a batch's images of a class differ (after Karras et al. 2018,
arXiv:1710.10196), without which each class of `shapes` is drawn at one place; R1, of a batch's logits together, keeps
the discriminator from running away (Mescheder et al. 2018, arXiv:1801.04406); samples come from a moving average of the
generator, each the one of a few candidates that the discriminator finds the most genuine for its label, since it knows
the blends between two modes for what they are (after the rejection sampling of Azadi et al. 2019, arXiv:1810.06758).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.nn.adversarial import RECIPE, matching_aware_loss, non_saturating, real_gradient_penalty
from harness.nn.conditions import ConditionEncoder, condition_of, mismatched
from harness.nn.discriminators import MatchingDiscriminator, RunningOutputs
from harness.nn.generators import ConditionalGenerator, noise_like
from harness.nn.minibatch_deviation import MinibatchStandardDeviation
from harness.nn.moving_average import ExponentialMovingAverage
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    real_label: float = 0.9  # what D is to say of real images with their label; below 1: one-sided label smoothing
    penalty: float = 0.1  # weight of R1, the squared gradient of D on real images; 0: none
    noise_dim: int = 64  # Z
    embedding_dim: int = 16  # E; small beside Z, or samples of one class are all alike
    width: int = 32  # channels of the generator's last maps
    hidden: int = 128  # units between the backbone and the logit
    variety: bool = True  # D also sees how much the batch's images of a class differ; false: each image alone
    average: float = 0.99  # decay of the generator's moving average, per step; 0: sample from the last weights
    candidates: int = 4  # images drawn for a sample, of which D chooses; 1: whatever comes

    def __post_init__(self) -> None:
        if not 0.5 < self.real_label <= 1:
            raise ValueError("real_label must be in (0.5,1]")
        if self.penalty < 0:
            raise ValueError("penalty must not be negative (0: none)")
        if min(self.noise_dim, self.embedding_dim, self.width, self.hidden, self.candidates) < 1:
            raise ValueError("noise_dim, embedding_dim, width, hidden and candidates must be at least 1")
        if not 0 <= self.average < 1:
            raise ValueError("average is a decay in [0,1)")


class ConditionalGAN(nn.Module):
    condition = "labels"

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        shown, judged = (ConditionEncoder("labels", data, config.embedding_dim) for _ in range(2))  # (B,) -> (B,E)
        batch_term = MinibatchStandardDeviation(config.hidden, len(data.classes)) if config.variety else None
        self.discriminator = MatchingDiscriminator(backbone, data, config.hidden, judged, batch_term)
        self.generator = ConditionalGenerator(config.noise_dim, shown, data, config.width)
        self.averaged = ExponentialMovingAverage(self.generator, config.average)
        self.outputs = RunningOutputs()

    @property
    def backbone(self) -> Backbone:
        return self.discriminator.features.backbone  # a part of the discriminator, and registered there alone

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        labels = condition_of(batch, "labels")  # (B,)
        fakes = self.generator(noise_like(batch.inputs, self.config.noise_dim), labels)  # (B,C,H,W)

        others, differs = mismatched(labels)
        images = batch.inputs.detach().requires_grad_(self.config.penalty > 0)
        right, wrong = self.discriminator.judge(images, labels, labels, others)  # (B,) logits
        fake = self.discriminator(fakes.detach(), labels)
        self.outputs.update(batch, right, fake)
        loss = matching_aware_loss(right, fake, wrong, differs, self.config.real_label)
        if self.config.penalty:
            loss = loss + self.config.penalty / 2 * real_gradient_penalty(right, images)
        yield "discriminator", loss

        fooled = self.discriminator(fakes, labels)  # by the discriminator just updated, whose weights now stay
        yield "generator", non_saturating(fooled)

    def after_step(self) -> None:
        self.averaged.update(self.generator)

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)

    def readouts(self) -> tuple[str, ...]:
        return self.discriminator.features.readouts()

    def read(self, images: Tensor, readout: str) -> Tensor:
        return self.discriminator.features.read(images, readout)

    def sample_as(self, condition: Tensor, generator: torch.Generator) -> Tensor:
        each = self.config.candidates  # N
        asked = condition.repeat_interleave(each)  # (B*N,)
        noise = torch.randn(len(asked), self.config.noise_dim, generator=generator)
        images = self.averaged.network(noise.to(condition.device), asked)  # (B*N,C,H,W)
        if each == 1:
            return images
        discriminator = self.discriminator
        logits = discriminator.match(discriminator.features(images), discriminator.condition(asked))  # (B*N,)
        best = logits.view(-1, each).argmax(1)  # (B,)
        return images.unflatten(0, (-1, each))[torch.arange(len(best)), best]

    def diagnose(self, images: Tensor) -> str:
        return self.outputs.diagnosis(self.config.real_label)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="cgan",
        kind="model",
        build=ConditionalGAN,
        config=Config,
        source="arXiv:1411.1784, arXiv:1605.05396",
        uses=("labels",),
        recipe={**RECIPE, "batch_size": 32},
    )
