"""LeJEPA: views near each other, and all embeddings together one isotropic Gaussian. Balestriero and LeCun 2025,
arXiv:2511.08544, algorithms 1 and 2.

    L = (1 - lambda) mean_v |z_v - mean_v z_v|^2 / P + lambda mean_v SIGReg(z_v)
    SIGReg(z) = mean over random unit directions a of  B integral |phi_B(t) - exp(-t^2/2)|^2 exp(-t^2/2) dt,
    phi_B(t) = mean_b exp(i t <a, z_b>), the Epps-Pulley statistic of the B projections on a.

Why it is here: no teacher, no stopped gradient, no predictor, no queue, no schedule, one weight. A Gaussian is what the
paper proves to be the least risky embedding for tasks yet unknown; one dimension at a time tells all of it (Cramer and
Wold), with bounded gradients and a cost linear in the batch. So it is the family's method with the fewest tricks.

The integral is a trapezoid sum on 17 nodes t in [0,3], doubled for t < 0. Directions are drawn anew at every step, the
same in all processes, and the statistic is that of the whole batch.
B images, V views, C channels, H=W pixels, D features, P units of a projection, S directions, T nodes.
Differs from the paper: two views of one size; a small head that ends in BatchNorm without scale and shift, so that the
few hundred steps of a short training are not spent on finding the scale of a Gaussian.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.gathering import gathered, gathered_apart
from harness.nn.heads import projector
from harness.nn.views import ViewConfig, views_for
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, full_precision, hookimpl

NODES = 17  # T
LAST_NODE = 3.0


@dataclass(frozen=True, kw_only=True)
class Config(ViewConfig):
    hidden: int = 512  # units of the projector's hidden layers
    projection: int = 64  # P
    weight: float = 0.05  # lambda: of the Gaussian against the nearness of views
    directions: int = 256  # S, drawn at every step
    seen: int = 2  # V: views of each image

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.hidden, self.directions, self.projection - 1, self.seen - 1) < 1:
            raise ValueError("hidden and directions must be at least 1, projection and seen at least 2")
        if not 0 <= self.weight <= 1:
            raise ValueError("weight is a share in [0,1]")


class LeJepa(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        head = projector(backbone.dim, config.hidden, config.projection, layers=3, last_norm=True)
        self.projector = head  # (B,D) -> (B,P)
        self.views = views_for(data, config)

    def loss(self, batch: Batch) -> Tensor:
        views = [self.projector(self.backbone(self.views(batch.inputs))) for _ in range(self.config.seen)]
        with full_precision(batch.inputs.device):
            z = torch.stack(views).float()  # (V,B,P)
            apart = (z - z.mean(0)).square().mean()
            gaussian = sigreg(z, random_directions(self.config.directions, z.shape[2], z.device))
        batch.log("distance", apart.detach())
        batch.log("gaussian", gaussian.detach())
        return (1 - self.config.weight) * apart + self.config.weight * gaussian

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)


def random_directions(count: int, dim: int, device: torch.device) -> Tensor:
    """Unit vectors (S,P), uniform on the sphere; in several processes those of the first."""
    return gathered_apart(F.normalize(torch.randn(count, dim, device=device), dim=1))[:count]


def sigreg(z: Tensor, directions: Tensor) -> Tensor:
    """How far embeddings (V,B,P) are from a standard Gaussian, by unit directions (S,P); mean over views.

    About 1.06, and not 0, for draws from one: that is the mean of the statistic, whatever their number.
    """
    views = [gathered(view) for view in z]  # (B,P) each, of the whole batch
    return torch.stack([epps_pulley(view @ directions.T) for view in views]).mean()


def epps_pulley(x: Tensor) -> Tensor:
    """The statistic of each of S samples in columns (B,S) against a standard Gaussian, mean over samples."""
    nodes = torch.linspace(0, LAST_NODE, NODES, device=x.device)  # t (T,)
    gaussian = torch.exp(-nodes.square() / 2)  # its characteristic function, and the weight of the integral
    angles = x[..., None] * nodes  # (B,S,T)
    apart = (angles.cos().mean(0) - gaussian).square() + angles.sin().mean(0).square()  # (S,T)
    return 2 * len(x) * torch.trapezoid(apart * gaussian, nodes).mean()


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="lejepa",
        kind="pretext",
        build=LeJepa,
        config=Config,
        source="arXiv:2511.08544",
        recipe={"batch_size": 256},
    )
