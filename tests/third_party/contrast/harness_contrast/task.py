"""Instance contrast: which noisy copy is of this image? Oord et al. 2018, arXiv:1807.03748, equation 4.

B images, C channels, H=W pixels, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.nn.backbone import Backbone
from harness.plugin.hookspecs import hookimpl
from harness.plugin.specs import MethodSpec
from harness_contrast.terms import info_nce


@dataclass(frozen=True, kw_only=True)
class Config:
    noise: float = 0.1  # standard deviation of the noise, in units of [0,1]
    temperature: float = 0.2  # of the softmax

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError("temperature must be positive")


class InstanceContrast(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone  # (B,C,H,W) -> (B,D)

    def loss(self, batch: Batch) -> Tensor:
        noisy = batch.inputs + self.config.noise * torch.randn_like(batch.inputs)
        return info_nce(self.backbone(batch.inputs), self.backbone(noisy), self.config.temperature)

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="instance-contrast", kind="pretext", build=InstanceContrast, config=Config, source="arXiv:1807.03748"
    )
