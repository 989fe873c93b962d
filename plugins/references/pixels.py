"""Raw pixels as the representation: what any encoder has to beat.

B images, C channels, H=W pixels.
"""

from __future__ import annotations

from torch import Tensor, nn

from harness.plugin import DataSpec, ImageField, MethodSpec, NoConfig, hookimpl


class Pixels(nn.Module):
    def __init__(self, backbone: None, data: DataSpec[ImageField], config: NoConfig) -> None:
        super().__init__()

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)  # (B,C*H*W)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="pixels", kind="reference", build=Pixels, uses_backbone=False, source="no learning")
