"""Barlow Twins: units that agree between views and repeat no other. Zbontar et al. 2021, arXiv:2103.03230, section 3.1.

    L = sum_i (1 - c_ii)^2 + lambda sum_{i != j} c_ij^2,  c_ij the correlation of unit i of one view with j of the other

B images, C channels, H=W pixels, D features, P units of a projection.
The correlation is that of the whole batch, across processes too.
Differs from the paper: AdamW for LARS; a small head; no blur; the loss divided by P, so that it can be read for any P.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from harness.nn.gathering import gathered
from harness.nn.heads import projector
from harness.nn.views import ViewConfig, views_for
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, full_precision, hookimpl

EPSILON = 1e-5  # added to variances, as in BatchNorm, by which the paper's code normalises


@dataclass(frozen=True, kw_only=True)
class Config(ViewConfig):
    hidden: int = 512  # units of the projector's hidden layers
    projection: int = 512  # P
    redundancy: float = 0.005  # lambda: the weight of the correlations of different units
    solarised: float = 0.2  # probability of solarising the second view, beside what `solarise` asks of both

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden < 1 or self.projection < 2:
            raise ValueError("hidden must be at least 1 and projection at least 2")
        if self.redundancy < 0:
            raise ValueError("redundancy must not be negative")
        self.require_fractions("solarised")


class BarlowTwins(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        self.projector = projector(backbone.dim, config.hidden, config.projection, layers=3)  # (B,D) -> (B,P)
        self.views = views_for(data, config)
        self.others = replace(self.views, solarise=max(config.solarised, config.solarise))

    def loss(self, batch: Batch) -> Tensor:
        one = self.projector(self.backbone(self.views(batch.inputs)))  # (B,P)
        other = self.projector(self.backbone(self.others(batch.inputs)))  # (B,P)
        with full_precision(one.device):
            return barlow_twins(one.float(), other.float(), self.config.redundancy) / one.shape[1]

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)


def barlow_twins(one: Tensor, other: Tensor, redundancy: float) -> Tensor:
    """The loss of projections (B,P) of two views: equation 1, summed over units."""
    one, other = gathered(one), gathered(other)
    correlation = standardised(one).T @ standardised(other) / len(one)  # c (P,P)
    agreement = correlation.diagonal()
    repeated = correlation.square().sum() - agreement.square().sum()
    return (1 - agreement).square().sum() + redundancy * repeated


def standardised(z: Tensor) -> Tensor:
    """(B,P), every unit with mean 0 and variance 1 over the batch."""
    centred = z - z.mean(0)
    return centred * torch.rsqrt(centred.square().mean(0) + EPSILON)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="barlow-twins",
        kind="pretext",
        build=BarlowTwins,
        config=Config,
        source="arXiv:2103.03230",
        recipe={"batch_size": 256},
    )
