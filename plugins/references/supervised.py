"""The backbone trained with the labels: what the same network reaches when it is told the answer.

B images, C channels, H=W pixels, D features, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.augment import random_flip, random_shift
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, NotApplicable, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    shift: float = 0.1  # largest random shift, as a fraction of the image size
    flip: bool = False  # mirror half of the images: for photographs, not for writing

    def __post_init__(self) -> None:
        if not 0 <= self.shift < 0.5:
            raise ValueError("shift is a fraction of the image size in [0,0.5)")


class Supervised(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        if not data.classes:
            raise NotApplicable("the source has no labels")
        self.config = config
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        self.head = nn.Linear(backbone.dim, len(data.classes))  # (B,D) -> (B,K)

    def loss(self, batch: Batch) -> Tensor:
        images = random_flip(batch.inputs) if self.config.flip else batch.inputs
        logits = self.predict(random_shift(images, self.config.shift))
        assert batch.labels is not None  # the spec asks for them
        batch.log("accuracy", (logits.argmax(1) == batch.labels).float().mean())
        return F.cross_entropy(logits, batch.labels)  # nats per image

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)

    def predict(self, images: Tensor) -> Tensor:
        return self.head(self.backbone(images))  # (B,K)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="supervised", kind="reference", build=Supervised, config=Config, uses=("labels",), source="cross-entropy"
    )
