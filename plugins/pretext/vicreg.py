"""VICReg: views near each other, every unit spread out, no two units alike. Bardes et al. 2021, arXiv:2105.04906.

    L = lambda s(Z, Z') + mu (v(Z) + v(Z')) / 2 + nu (c(Z) + c(Z'))                      (equation 6; /2 as in its code)
    s = mean squared distance;  v = mean_j max(0, 1 - sqrt(Var z_j + 1e-4));  c = 1/P sum_{i != j} Cov_ij^2

B images, C channels, H=W pixels, D features, P units of a projection.
Variances and covariances are those of the whole batch, across processes too. Differs from the paper: AdamW for LARS; a
small head; no blur.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.gathering import gathered
from harness.nn.heads import projector
from harness.nn.views import ViewConfig, views_for
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, full_precision, hookimpl

EPSILON = 1e-4  # added to variances before their square root


@dataclass(frozen=True, kw_only=True)
class Config(ViewConfig):
    hidden: int = 512  # units of the projector's hidden layers
    projection: int = 512  # P
    invariance: float = 25.0  # lambda
    variance: float = 25.0  # mu
    covariance: float = 1.0  # nu
    solarised: float = 0.1  # probability of solarising the second view, beside what `solarise` asks of both

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden < 1 or self.projection < 2:
            raise ValueError("hidden must be at least 1 and projection at least 2")
        if min(self.invariance, self.variance, self.covariance) < 0:
            raise ValueError("invariance, variance and covariance must not be negative")
        self.require_fractions("solarised")


class VicReg(nn.Module):
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
            terms = vicreg(one.float(), other.float())
        for name, term in zip(("invariance", "variance", "covariance"), terms, strict=True):
            batch.log(name, term.detach())
        invariance, variance, covariance = terms
        spread = self.config.variance * variance + self.config.covariance * covariance
        return self.config.invariance * invariance + spread

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)


def vicreg(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Invariance, variance and covariance, unweighted, of projections (B,P) of two views."""
    one, other = gathered(one), gathered(other)
    variance = (narrowness(one) + narrowness(other)) / 2
    return F.mse_loss(one, other), variance, redundancy(one) + redundancy(other)


def narrowness(z: Tensor) -> Tensor:
    """v: how far the deviations of the units of (B,P) are below 1."""
    return F.relu(1 - (z.var(0) + EPSILON).sqrt()).mean()


def redundancy(z: Tensor) -> Tensor:
    """c: squared covariances of different units of (B,P), summed, per unit."""
    centred = z - z.mean(0)
    covariance = centred.T @ centred / (len(z) - 1)  # (P,P)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="vicreg",
        kind="pretext",
        build=VicReg,
        config=Config,
        source="arXiv:2105.04906",
        recipe={"batch_size": 256},
    )
