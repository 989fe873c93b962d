"""BYOL: predict what a slow copy of the network says of another view of the image. Grill et al. 2020, arXiv:2006.07733.

B images, C channels, H=W pixels, D features, P units of a projection.
The built-in `byol` has more to set; this is the least that one takes to write, so it bears another name.
Differs from the paper: views are shifted, brighter or darker and noisy images, which suit small ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.augment import random_shift
from harness.nn.moving_average import ExponentialMovingAverage
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, full_precision, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    hidden: int = 256  # units of the hidden layers
    projection: int = 64  # P
    decay: float = 0.97  # of the slow copy at the start; it rises to 1 by the end of training
    shift: float = 0.15  # fraction of the size that a view is moved by, at most
    noise: float = 0.1  # deviation of the noise in a view, in [0,1]


class Byol(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        self.online = nn.Sequential(backbone, two_layers(backbone.dim, config.hidden, config.projection))
        self.predictor = two_layers(config.projection, config.hidden, config.projection)  # (B,P) -> (B,P)
        self.target = ExponentialMovingAverage(self.online, config.decay, statistics="batch", warm_up=False)

    def loss(self, batch: Batch) -> Tensor:
        one, other = self.view(batch.inputs), self.view(batch.inputs)
        return (self.distance(one, other) + self.distance(other, one)) / 2

    def distance(self, seen: Tensor, hidden: Tensor) -> Tensor:
        """Twice one minus the cosine of the prediction from one view and the target's projection of the other."""
        predicted = self.predictor(self.online(seen))  # (B,P)
        with torch.no_grad():
            expected = self.target.network(hidden)  # (B,P)
        with full_precision(seen.device):
            return 2 - 2 * F.cosine_similarity(predicted.float(), expected.float()).mean()

    def view(self, images: Tensor) -> Tensor:
        """Each image with draws of its own: (B,C,H,W) -> (B,C,H,W)."""
        moved = random_shift(images, self.config.shift)
        brightness = torch.empty(len(images), 1, 1, 1, device=images.device).uniform_(0.6, 1.4)
        return (moved * brightness + self.config.noise * torch.randn_like(moved)).clamp(0, 1)

    def after_step(self, progress: float) -> None:
        self.target.update(self.online, 1 - (1 - self.config.decay) * (1 + cos(pi * progress)) / 2)

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)


def two_layers(dim: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out))


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="small-byol", kind="pretext", build=Byol, config=Config, source="arXiv:2006.07733")
