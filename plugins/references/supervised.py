"""The backbone trained with the labels: what the same network reaches when it is told the answer.

B images, clips or texts, D features, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.augment import random_flip, random_shift
from harness.plugin import ANY, Backbone, Batch, DataSpec, MethodSpec, NotApplicable, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    shift: float = 0.1  # largest random shift of an image or a clip, as a fraction of its size; texts are as they are
    flip: bool = False  # mirror half of the images or clips: for photographs, not for writing

    def __post_init__(self) -> None:
        if not 0 <= self.shift < 0.5:
            raise ValueError("shift is a fraction of the image size in [0,0.5)")


class Supervised(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec, config: Config) -> None:
        super().__init__()
        if not data.classes:
            raise NotApplicable("the source has no labels")
        self.config = config
        self.has_pixels = data.kind != "text"
        self.backbone = backbone  # (B,...) -> (B,D)
        self.head = nn.Linear(backbone.dim, len(data.classes))  # (B,D) -> (B,K)

    def loss(self, batch: Batch) -> Tensor:
        logits = self.predict(self._view(batch.inputs) if self.has_pixels else batch.inputs)
        assert batch.labels is not None  # the spec asks for them
        batch.log("accuracy", (logits.argmax(1) == batch.labels).float().mean())
        return F.cross_entropy(logits, batch.labels)  # nats per example

    def _view(self, images: Tensor) -> Tensor:
        """Every image or clip moved, and mirrored, by a draw of its own."""
        return random_shift(random_flip(images) if self.config.flip else images, self.config.shift)

    def encode(self, inputs: Tensor) -> Tensor:
        return self.backbone(inputs)  # (B,D)

    def predict(self, inputs: Tensor) -> Tensor:
        return self.head(self.backbone(inputs))  # (B,K)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="supervised",
        kind="reference",
        build=Supervised,
        config=Config,
        takes=ANY,
        uses=("labels",),
        source="cross-entropy",
    )
