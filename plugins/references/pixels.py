"""Raw pixels as the representation: what any encoder has to beat.

B images or clips, T frames, C channels, H=W pixels.
"""

from __future__ import annotations

from torch import Tensor, nn

from harness.plugin import DataSpec, MethodSpec, NoConfig, hookimpl


class Pixels(nn.Module):
    def __init__(self, backbone: None, data: DataSpec, config: NoConfig) -> None:
        super().__init__()

    def encode(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1)  # (B,C*H*W), or of clips (B,T*C*H*W)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="pixels",
        kind="reference",
        build=Pixels,
        takes=("image", "video"),
        uses_backbone=False,
        source="no learning",
    )
