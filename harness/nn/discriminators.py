"""Discriminators on top of a backbone: is this image real, and, where something was asked for, is it what was asked?

B images, C channels, H=W pixels, D features of the backbone, h,w positions of its maps, F hidden units, E embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.fields import DataSpec, ImageField
from harness.errors import NotApplicable
from harness.nn.backbone import Backbone
from harness.nn.conditions import ConditionEncoder

if TYPE_CHECKING:
    from harness.data.batches import Batch

SLOPE = 0.2  # of the leaky ReLU below zero, as in the DCGAN
POOLED = 4  # h = w of the maps that a representation is read from
DECAY = 0.99  # of the running means: the last hundred steps
CERTAIN = 0.01  # distance of a mean output from its target, below which the discriminator has won


class DiscriminatorFeatures(nn.Module):
    """What a logit is read from: a backbone's maps, or its features where it has none, and a hidden layer.

    (B,C,H,W) -> (B,F). The maps keep where things are; their mean would judge an image as a bag of strokes.
    Batch normalisation in the backbone stays at its initial statistics, mean 0 and variance 1, so that it only scales
    and shifts: real and fake batches normalised apart would lose what sets them apart, and the logit of one image would
    depend on the others of its batch unasked (`batch_term` below is asked for).
    """

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], hidden: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.positions = map_size(backbone, data)  # h = w, or 0
        self.hidden = nn.Linear(backbone.dim * max(1, self.positions) ** 2, hidden)

    def forward(self, images: Tensor) -> Tensor:
        seen = self.backbone.maps(images) if self.positions else self.backbone(images)  # (B,D,h,w) or (B,D)
        return F.leaky_relu(self.hidden(seen.flatten(1)), SLOPE)  # (B,F)

    def train(self, mode: bool = True) -> DiscriminatorFeatures:
        super().train(mode)
        for layer in self.backbone.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.eval()
        return self

    def readouts(self) -> tuple[str, ...]:
        """Where a representation can be read: the features, and max-pooled maps as in the DCGAN paper, section 5.1."""
        return ("features", "maps", "hidden") if self.positions else ("features", "hidden")

    def read(self, images: Tensor, readout: str) -> Tensor:
        """(B,C,H,W) -> (B,D), the maps at most 4x4: (B,16D), or the hidden layer (B,F)."""
        if readout == "maps":
            return F.adaptive_max_pool2d(self.backbone.maps(images), min(self.positions, POOLED)).flatten(1)
        return self(images) if readout == "hidden" else self.backbone(images)


class Discriminator(nn.Module):
    """One number for each image: (B,C,H,W) -> (B,), a logit or a critic's score."""

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], hidden: int) -> None:
        super().__init__()
        self.features = DiscriminatorFeatures(backbone, data, hidden)
        self.logit = nn.Linear(hidden, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.logit(self.features(images)).squeeze(1)  # (B,)


class MatchingDiscriminator(nn.Module):
    """Is the image real, and what was asked for? l = w.h(x) + <V e(c), h(x)>: features h, condition c.

    The inner product is the projection discriminator of Miyato and Koyama 2018, arXiv:1802.05637, equation 3.
    `batch_term`, from features (B,F) and conditions to (B,), adds what the batch as a whole says to each logit.
    """

    def __init__(
        self,
        backbone: Backbone,
        data: DataSpec[ImageField],
        hidden: int,
        condition: ConditionEncoder,
        batch_term: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.features = DiscriminatorFeatures(backbone, data, hidden)
        self.logit = nn.Linear(hidden, 1)
        self.condition = condition  # (B,) or (B,L) -> (B,E)
        self.project = nn.Linear(condition.dim, hidden, bias=False)  # V: (B,E) -> (B,F)
        self.batch_term = batch_term

    def match(self, features: Tensor, embedded: Tensor) -> Tensor:
        """Features (B,F) and embedded conditions (B,E) -> logits (B,)."""
        agreement = (self.project(embedded) * features).sum(1)
        return self.logit(features).squeeze(1) + agreement

    def judge(self, images: Tensor, condition: Tensor, *asked: Tensor) -> list[Tensor]:
        """Logits (B,) for each of the conditions asked about, of images that are of, or were made for, `condition`.

        The features are computed once, however many conditions are asked about.
        """
        features = self.features(images)  # (B,F)
        logits = [self.match(features, self.condition(one)) for one in asked]
        if self.batch_term is None:
            return logits
        shared = self.batch_term(features, condition)  # (B,)
        return [logit + shared for logit in logits]

    def forward(self, images: Tensor, condition: Tensor) -> Tensor:
        return self.judge(images, condition, condition)[0]  # (B,)


def map_size(backbone: Backbone, data: DataSpec[ImageField]) -> int:
    """h = w of the backbone's maps; 0 where it sees no positions."""
    try:
        return backbone.map_size(data.inputs.size)
    except NotApplicable:
        return 0


class RunningOutputs(nn.Module):
    """Means of D(x) and D(G(z)) over the last stretch of training: what tells afterwards that one side had won."""

    real: Tensor
    fake: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("real", torch.tensor(0.5))
        self.register_buffer("fake", torch.tensor(0.5))

    def update(self, batch: Batch, real: Tensor, fake: Tensor) -> None:
        """Take in the logits (B,) of a turn, and show both means in the training curves."""
        for name, running, logits in (("D(x)", self.real, real), ("D(G(z))", self.fake, fake)):
            mean = logits.detach().sigmoid().mean()
            running.lerp_(mean.to(running.dtype), 1 - DECAY)
            batch.log(name, mean)

    def diagnosis(self, real_label: float = 1.0) -> str:
        """One line if the discriminator ended within 0.01 of all its targets, else nothing."""
        real, fake = float(self.real), float(self.fake)
        if real > real_label - CERTAIN and fake < CERTAIN:
            return (
                f"saturated discriminator: D(x) is {real:.3g} and D(G(z)) {fake:.3g}, so the generator learns nothing"
            )
        return ""
