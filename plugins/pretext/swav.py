"""SwAV: from one view of an image, predict to which prototypes another belongs. Caron et al. 2020, arXiv:2006.09882.

    L = -mean over pairs of views of sum_k q_k(one) log p_k(other)                                         (equation 2)
    p = softmax(cosines with K prototypes / T);  q = Sinkhorn(cosines): as near to them as codes can be that use all
    prototypes equally often over the batch, which is what keeps images from sharing one prototype   (equations 3 to 5)

The two large views give codes; small ones, if asked for, only predict them. Codes are those of the whole batch, across
processes too.
B images, C channels, H=W pixels, D features, P units of a projection, K prototypes.
Differs from the paper: AdamW for LARS; a small head; fewer prototypes than images in a batch, so no queue; no blur.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.heads import Prototypes, projector
from harness.nn.sinkhorn import sinkhorn
from harness.nn.views import ViewConfig, views_for
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, full_precision, hookimpl

LEAST_USED = 0.05  # of the prototypes that images of a healthy training are nearest to, as far as images go


@dataclass(frozen=True, kw_only=True)
class Config(ViewConfig):
    hidden: int = 512  # units of the projector's hidden layer
    projection: int = 128  # P
    prototypes: int = 128  # K
    temperature: float = 0.1  # T
    epsilon: float = 0.05  # the smaller, the harder the codes
    frozen: float = 0.05  # fraction of training in which prototypes do not move
    small: int = 0  # small views of each image
    small_crop: float = 0.1  # area of the smallest small view; the largest is `crop`

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.hidden, self.projection - 1, self.prototypes - 1) < 1:
            raise ValueError("hidden must be at least 1, projection and prototypes at least 2")
        if self.temperature <= 0 or self.epsilon <= 0:
            raise ValueError("temperature and epsilon must be positive")
        if not 0 <= self.frozen < 1:
            raise ValueError("frozen is a fraction of training in [0,1)")
        if self.small < 0:
            raise ValueError("small must not be negative")
        if self.small and not 0 < self.small_crop <= self.crop:
            raise ValueError(f"small_crop is an area in (0,{self.crop:g}], the smallest of a large view")


class Swav(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        self.projector = projector(backbone.dim, config.hidden, config.projection)  # (B,D) -> (B,P)
        self.prototypes = Prototypes(config.projection, config.prototypes)  # (B,P) -> cosines (B,K)
        self.views = views_for(data, config)
        self.small = replace(self.views, smallest=config.small_crop, largest=config.crop)

    def loss(self, batch: Batch) -> Tensor:
        views = [self.views] * 2 + [self.small] * self.config.small
        projected = [self.projector(self.backbone(view(batch.inputs))) for view in views]  # (B,P) each
        with full_precision(batch.inputs.device):
            scores = [self.prototypes(z) for z in projected]  # (B,K) each
            codes = [sinkhorn(score.detach(), self.config.epsilon) for score in scores[:2]]  # (B,K) each
            return swapped(codes, scores, self.config.temperature)

    def rates(self, progress: float) -> dict[str, float]:
        """Prototypes stay as they are at first."""
        return {"prototypes": 0.0} if progress < self.config.frozen else {}

    def diagnose(self, images: Tensor) -> str:
        """Are images nearest to a few prototypes alone?"""
        nearest = self.prototypes(self.projector(self.backbone(images))).argmax(1)  # (B,)
        used, possible = len(nearest.unique()), min(len(images), self.config.prototypes)
        if used > max(1, LEAST_USED * possible):
            return ""
        return f"collapsed: {len(images)} images are nearest to {used} of {self.config.prototypes} prototypes"

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)


def swapped(codes: list[Tensor], scores: list[Tensor], temperature: float) -> Tensor:
    """Cross-entropy of the codes (B,K) of the first views with predictions from every other view's scores (B,K)."""
    logs = [F.log_softmax(score / temperature, dim=1) for score in scores]
    pairs = [(code, log) for i, code in enumerate(codes) for j, log in enumerate(logs) if i != j]
    return torch.stack([-(code * log).sum(1).mean() for code, log in pairs]).mean()


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="swav",
        kind="pretext",
        build=Swav,
        config=Config,
        source="arXiv:2006.09882",
        recipe={"batch_size": 256},
    )
