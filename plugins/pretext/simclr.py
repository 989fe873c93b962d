"""SimCLR: which of all other views is of the same image? Chen et al. 2020, arXiv:2002.05709, equation 1.

    l(i,j) = -log exp(cos(z_i, z_j) / T) / sum_{k != i} exp(cos(z_i, z_k) / T),    z = g(f(view))

B images, C channels, H=W pixels, D features of the backbone f, P units of the projection g.
Two views of every image are made; each view is an anchor, its partner the answer, the 2B - 2 views of other images of
the batch the negatives. The projection is left behind: what is judged is f.
Differs from the paper: AdamW for LARS, batches of 256 for 4096, a smaller projection; larger crops, since a corner of a
small image shows too little to be recognised by.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from harness.nn.contrastive import matching_logits, nt_xent
from harness.nn.heads import projector
from harness.nn.views import ViewConfig, two_views, views_for
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config(ViewConfig):
    crop: float = 0.5  # area of the smallest crop, as a fraction of the image in (0,1]
    temperature: float = 0.1  # T
    hidden: int = 256  # units of the projection's hidden layers
    projection: int = 64  # P
    layers: int = 2  # of the projection

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature <= 0:
            raise ValueError("temperature must be above 0")
        if min(self.hidden, self.projection, self.layers) < 1:
            raise ValueError("hidden, projection and layers must be at least 1")


class SimClr(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.view = views_for(data, config)  # (B,C,H,W) -> (B,C,H,W)
        self.backbone = backbone  # f: (B,C,H,W) -> (B,D)
        self.projector = projector(backbone.dim, config.hidden, config.projection, layers=config.layers)  # g

    def embeddings(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Projections (B,P) of two views of each image, which share the statistics of one batch of 2B."""
        one, other = self.projector(self.backbone(two_views(self.view, images))).chunk(2)  # (B,P) each
        return one, other

    def loss(self, batch: Batch) -> Tensor:
        return nt_xent(*self.embeddings(batch.inputs), self.config.temperature)  # nats per view

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return matching_logits(*self.embeddings(batch.inputs), self.config.temperature)  # (B,B), (B,)

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="simclr",
        kind="pretext",
        build=SimClr,
        config=Config,
        source="arXiv:2002.05709",
        recipe={"batch_size": 256, "learning_rate": 2e-3},
    )
