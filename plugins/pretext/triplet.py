"""Triplets: an image is nearer to another view of itself than to other images. Schroff et al. 2015, arXiv:1503.03832.

    L(A,P,N) = max(|f(A) - f(P)|^2 - |f(A) - f(N)|^2 + alpha, 0),    |f(x)| = 1        (FaceNet, equations 2 and 3)

B images, C channels, H=W pixels, D features, P units of an embedding, M=2B views.
Every view of a batch is an anchor A, the other view of its image the positive P, and N one of the 2B - 2 views of other
images: any ("random"), the nearest ("hard"), or the nearest of those that are farther than P ("semi-hard", section 3.2;
where none is, the farthest: the easiest, since the nearest ones collapse f early in training).
Differs from the paper: positives are views of an image, not other photographs of a person, so no labels are needed; a
projection between the backbone and the distances, left behind after training as in SimCLR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.contrastive import matching_logits
from harness.nn.gathering import gathered
from harness.nn.heads import projector
from harness.nn.views import ViewConfig, two_views, views_for
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, full_precision, hookimpl

Negatives = Literal["random", "semi-hard", "hard"]


@dataclass(frozen=True, kw_only=True)
class Config(ViewConfig):
    crop: float = 0.5  # area of the smallest crop, as a fraction of the image in (0,1]
    negatives: Negatives = "semi-hard"  # which view of another image is N
    margin: float = 0.2  # alpha, of squared distances, which are at most 4
    hidden: int = 256  # units of the projection's hidden layer
    projection: int = 64  # P

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.margin < 4:
            raise ValueError("margin is one of squared distances between points of a unit sphere, in (0,4)")
        if min(self.hidden, self.projection) < 1:
            raise ValueError("hidden and projection must be at least 1")


def triplet_losses(one: Tensor, other: Tensor, margin: float, negatives: Negatives) -> Tensor:
    """The loss of every triplet, each view being the anchor of one: embeddings (B,P) of two views -> (M,).

    one, other: in the same order, of any length. margin: alpha. On W processes B counts the images of all.
    """
    with full_precision(one.device):
        views = F.normalize(torch.cat([gathered(one.float()), gathered(other.float())]), dim=1)  # (M,P)
        distances = 2 - 2 * views @ views.T  # (M,M) squared, since |f| = 1
    count = len(views)
    partner = torch.arange(count, device=views.device).roll(count // 2)  # (M,) of each view: the other of its image
    positive = distances.gather(1, partner[:, None])  # (M,1)
    negative = distances.gather(1, chosen(distances.detach(), negatives)[:, None])  # (M,1)
    return (positive - negative + margin).clamp(min=0).squeeze(1)


def chosen(distances: Tensor, negatives: Negatives) -> Tensor:
    """The negative of each anchor, among views of other images: (M,M) -> int64 (M,)."""
    count, device = len(distances), distances.device
    image = torch.arange(count, device=device) % (count // 2)  # (M,)
    if negatives == "random":
        another = (image + torch.randint(1, count // 2, (count,), device=device)) % (count // 2)
        return another + torch.randint(2, (count,), device=device) * (count // 2)
    own = image == image[:, None]  # (M,M)
    if negatives == "hard":
        return distances.masked_fill(own, torch.inf).argmin(1)
    positive = distances.gather(1, torch.arange(count, device=device).roll(count // 2)[:, None])  # (M,1)
    farther = distances.masked_fill(own | (distances <= positive), torch.inf)  # (M,M)
    nearest, index = farther.min(1)
    return torch.where(nearest.isinf(), distances.masked_fill(own, -torch.inf).argmax(1), index)


class Triplet(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.view = views_for(data, config)  # (B,C,H,W) -> (B,C,H,W)
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        self.projector = projector(backbone.dim, config.hidden, config.projection)  # (B,D) -> (B,P)

    def embeddings(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B,P) of two views of each image, which share the statistics of one batch of 2B."""
        one, other = self.projector(self.backbone(two_views(self.view, images))).chunk(2)  # (B,P) each
        return one, other

    def loss(self, batch: Batch) -> Tensor:
        losses = triplet_losses(*self.embeddings(batch.inputs), self.config.margin, self.config.negatives)  # (2B,)
        batch.log("within margin", (losses > 0).float().mean())  # triplets that still teach
        return losses.mean()  # squared distance per triplet

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return matching_logits(*self.embeddings(batch.inputs))  # (B,B), (B,)

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="triplet",
        kind="pretext",
        build=Triplet,
        config=Config,
        source="arXiv:1503.03832",
        recipe={"batch_size": 256, "learning_rate": 2e-3},
    )
