"""BYOL: predict what a slow copy of the network says of another view. Grill et al. 2020, arXiv:2006.07733, section 3.1.

    L = 2 - 2 <q(z_online), z_target> / (|q(z_online)| |z_target|), from either view to the other      (equation 2)

No negatives: that not all images get one projection is the work of the predictor q and of the slow copy, to which no
gradient flows. Each view is normalised by its own batch statistics, in the slow copy too.

B images, C channels, H=W pixels, D features, P units of a projection.
Differs from the paper: AdamW for LARS; a small projector of three layers that ends in BatchNorm, as SimSiam's, and a
decay that starts lower: a training here has a few hundred steps, in which two layers and 0.97 stayed below an untrained
network's kNN on Fashion-MNIST and these rose above it; no blur, and no solarisation unless asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.heads import predictor, projector
from harness.nn.moving_average import ExponentialMovingAverage
from harness.nn.schedules import cosine
from harness.nn.views import ViewConfig, views_for
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, full_precision, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config(ViewConfig):
    hidden: int = 512  # units of the hidden layers of projector and predictor
    projection: int = 128  # P
    decay: float = 0.9  # of the slow copy at the start; it rises to 1 by the end of training
    solarised: float = 0.0  # probability of solarising the second view, beside what `solarise` asks of both

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden < 1 or self.projection < 2:
            raise ValueError("hidden must be at least 1 and projection at least 2")
        if not 0 <= self.decay <= 1:
            raise ValueError("decay is a fraction in [0,1]")
        self.require_fractions("solarised")


class Byol(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        head = projector(backbone.dim, config.hidden, config.projection, layers=3, last_norm=True)  # (B,D) -> (B,P)
        self.online = nn.Sequential(backbone, head)
        self.predictor = predictor(config.projection, config.hidden)  # (B,P) -> (B,P)
        self.target = ExponentialMovingAverage(self.online, config.decay, statistics="batch", warm_up=False)
        self.views = views_for(data, config)
        self.others = replace(self.views, solarise=max(config.solarised, config.solarise))

    def loss(self, batch: Batch) -> Tensor:
        one, other = self.views(batch.inputs), self.others(batch.inputs)
        with torch.no_grad():
            targets = self.target.network(one), self.target.network(other)  # (B,P) each
        predicted = self.predictor(self.online(one)), self.predictor(self.online(other))  # (B,P) each
        with full_precision(one.device):
            return (distance(predicted[0], targets[1]) + distance(predicted[1], targets[0])) / 2

    def after_step(self, progress: float) -> None:
        self.target.update(self.online, cosine(self.config.decay, 1.0, progress))

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)


def distance(predicted: Tensor, expected: Tensor) -> Tensor:
    """Squared distance of normalised predictions and projections (B,P), in [0,4], mean over images: equation 2."""
    return 2 - 2 * F.cosine_similarity(predicted.float(), expected.float()).mean()


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="byol",
        kind="pretext",
        build=Byol,
        config=Config,
        source="arXiv:2006.07733",
        recipe={"batch_size": 256},
    )
