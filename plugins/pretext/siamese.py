"""A siamese network: two views of an image near, of two images at least a margin apart. Hadsell et al. 2006, section 2.

    L(Y,X1,X2) = (1 - Y) D^2 / 2 + Y max(0, m - D)^2 / 2,    D = |G(X1) - G(X2)|
    (Hadsell, Chopra and LeCun, Dimensionality Reduction by Learning an Invariant Mapping, CVPR 2006, equation 4)

B images, C channels, H=W pixels, D features of the backbone, P units of an embedding G, M=2B views.
Pairs: the two views of each image are alike (Y=0), all pairs of views of different images of the batch are not (Y=1).
There are 2B - 2 times as many of these, so each kind has a mean of its own and both weigh the same: attraction and
repulsion in balance, whatever the batch.
Differs from the paper: pairs are views, not neighbours known beforehand; embeddings have length 1, so that distances
lie in [0,2] and the margin has a scale; they are a projection of the backbone's features, left behind after training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.contrastive import matching_logits
from harness.nn.gathering import gathered
from harness.nn.heads import projector
from harness.nn.views import ViewConfig, two_views, views_for
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, full_precision, hookimpl

SMALLEST = 1e-12  # squared distance: the slope of a root at 0 is infinite


@dataclass(frozen=True, kw_only=True)
class Config(ViewConfig):
    crop: float = 0.5  # area of the smallest crop, as a fraction of the image in (0,1]
    margin: float = 1.4  # m, a distance on the unit sphere, where orthogonal embeddings are 1.41 apart
    hidden: int = 256  # units of the projection's hidden layer
    projection: int = 64  # P

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.margin <= 2:
            raise ValueError("margin is a distance between points of a unit sphere, in (0,2]")
        if min(self.hidden, self.projection) < 1:
            raise ValueError("hidden and projection must be at least 1")


def contrastive_loss(one: Tensor, other: Tensor, margin: float) -> Tensor:
    """The mean over pairs of views of one image plus that over pairs of different images: embeddings (B,P) -> scalar.

    one, other: of two views of the same images, in the same order, of any length. margin: m. On W processes B counts
    the images of all.
    """
    with full_precision(one.device):
        views = F.normalize(torch.cat([gathered(one.float()), gathered(other.float())]), dim=1)  # (M,P)
        distances = (2 - 2 * views @ views.T).clamp(min=SMALLEST).sqrt()  # (M,M)
    count = len(views)
    image = torch.arange(count, device=views.device) % (count // 2)  # (M,)
    different = image != image[:, None]  # (M,M)
    alike = distances.diagonal(count // 2)  # (B,)
    apart = (margin - distances).clamp(min=0).square() * different  # (M,M)
    return alike.square().mean() / 2 + apart.sum() / different.sum() / 2


class Siamese(nn.Module):
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
        return contrastive_loss(*self.embeddings(batch.inputs), self.config.margin)  # squared distance per pair

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return matching_logits(*self.embeddings(batch.inputs))  # (B,B), (B,)

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="siamese",
        kind="pretext",
        build=Siamese,
        config=Config,
        source="Hadsell, Chopra and LeCun 2006, doi:10.1109/CVPR.2006.100",
        recipe={"batch_size": 128, "learning_rate": 4e-3},
    )
