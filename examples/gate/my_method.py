"""My method: restore an image of which a part of the pixels was set to 0. A small denoising autoencoder.

B images, C channels, H=W pixels, D features. Vincent et al. 2010, JMLR 11:3371-3408, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    lost: float = 0.25  # probability of a pixel to be lost


class MyMethod(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.lost = config.lost
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        pixels = prod(data.inputs.shape)
        self.decoder = nn.Sequential(nn.Linear(backbone.dim, 256), nn.ReLU(), nn.Linear(256, pixels))

    def loss(self, batch: Batch) -> Tensor:
        images = batch.inputs  # (B,C,H,W)
        kept = torch.rand_like(images) >= self.lost
        restored = self.decoder(self.backbone(images * kept))  # (B,C*H*W)
        return (restored - images.flatten(1)).square().mean()

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="my-method", kind="model", build=MyMethod, config=Config, source="Vincent et al. 2010, JMLR 11:3371-3408"
    )
