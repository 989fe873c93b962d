"""SimSiam: BYOL without a slow copy; stopping a gradient is enough. Chen and He 2020, arXiv:2011.10566, algorithm 1.

    L = D(p1, stop(z2)) / 2 + D(p2, stop(z1)) / 2,   D(p, z) = -<p, z> / (|p| |z|)                   (equations 1 to 4)

B images, C channels, H=W pixels, D features, P units of a projection.
Differs from the paper: AdamW for SGD; a small head; no blur.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.heads import predictor, projector
from harness.nn.views import ViewConfig, views_for
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, full_precision, hookimpl

LEAST_SPREAD = 0.1  # of projections that have not collapsed, as a fraction of that of a uniform distribution


@dataclass(frozen=True, kw_only=True)
class Config(ViewConfig):
    hidden: int = 512  # units of the projector's two hidden layers
    projection: int = 512  # P
    bottleneck: int = 128  # units of the predictor's hidden layer: fewer than P

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.hidden, self.projection - 1, self.bottleneck) < 1:
            raise ValueError("hidden and bottleneck must be at least 1 and projection at least 2")


class SimSiam(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        self.projector = projector(backbone.dim, config.hidden, config.projection, layers=3, last_norm=True)
        self.predictor = predictor(config.projection, config.bottleneck)  # (B,P) -> (B,P)
        self.views = views_for(data, config)

    def loss(self, batch: Batch) -> Tensor:
        one, other = (self.projector(self.backbone(self.views(batch.inputs))) for _ in range(2))  # (B,P) each
        predicted = self.predictor(one), self.predictor(other)  # (B,P) each
        batch.log("spread", spread(one.detach()))
        with full_precision(one.device):
            return (opposite(predicted[0], other) + opposite(predicted[1], one)) / 2

    def diagnose(self, images: Tensor) -> str:
        """Are projections of different images one direction? Figure 2 of the paper."""
        now = float(spread(self.projector(self.backbone(images))))
        if now >= LEAST_SPREAD:
            return ""
        return f"collapsed: the spread of the projections' directions is {now:.2g} of that of a uniform distribution"

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)


def opposite(predicted: Tensor, projected: Tensor) -> Tensor:
    """D: minus the cosine of predictions with the other view's projections (B,P), to which no gradient flows."""
    return -F.cosine_similarity(predicted.float(), projected.detach().float()).mean()


def spread(projected: Tensor) -> Tensor:
    """Deviation of the units of normalised projections (B,P) between images, over 1/sqrt(P): 0 collapsed, 1 uniform."""
    directions = F.normalize(projected.float(), dim=1)
    return directions.std(0).mean() * sqrt(projected.shape[1])


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="simsiam",
        kind="pretext",
        build=SimSiam,
        config=Config,
        source="arXiv:2011.10566",
        recipe={"batch_size": 256},
    )
