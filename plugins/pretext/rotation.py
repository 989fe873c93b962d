"""Rotation prediction: which quarter turn was applied? Gidaris et al. 2018, arXiv:1803.07728, section 3.1.

B images, C channels, H=W pixels, D features, R quarter turns.
All R turns of an image are in one batch, as in the paper, in shuffled order; turns are exact, so that no interpolation
gives them away. Differs from the paper: a head with a hidden layer, which keeps the backbone's features general where
a linear one bends them to the task; AdamW; images shifted and not padded.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.augment import all_turns, random_flip, random_shift
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    turns: int = 4  # quarter turns to tell apart, 2 to 4
    shift: float = 0.1  # largest shift before turning, as a fraction of the image size
    flip: bool | None = None  # mirror half of the images before turning; none: where the dataset says that it may be
    hidden: int = 256  # units of the head's hidden layer

    def __post_init__(self) -> None:
        if self.hidden < 1:
            raise ValueError("hidden must be at least 1")
        if not 2 <= self.turns <= 4:
            raise ValueError("turns must be 2, 3 or 4")
        if not 0 <= self.shift < 0.5:
            raise ValueError("shift is a fraction of the image size in [0,0.5)")


class Rotation(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.flips = data.inputs.mirror if config.flip is None else config.flip
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        self.head = nn.Sequential(
            nn.Linear(backbone.dim, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.turns)
        )  # (B,D) -> (B,R)

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        images = random_flip(batch.inputs) if self.flips else batch.inputs
        turned, turns = all_turns(random_shift(images, self.config.shift), self.config.turns)  # (R*B,C,H,W), (R*B,)
        return self.head(self.backbone(turned)), turns

    def loss(self, batch: Batch) -> Tensor:
        logits, turns = self.solve(batch)
        batch.log("accuracy", (logits.argmax(1) == turns).float().mean())
        return F.cross_entropy(logits, turns)  # nats per turned image

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="rotation", kind="pretext", build=Rotation, config=Config, source="arXiv:1803.07728")
