"""The mean of all frames: what a clip tells without any order, and the blur that a prediction may hide behind.

As a representation it is the pixels of the mean frame; as a prediction the mean of the frames that were seen. In a gap
it is the mean of the two at its edges.

B clips, T frames, C channels, H=W pixels.
"""

from __future__ import annotations

import sys

from torch import Tensor, nn

from harness.plugin import DataSpec, MethodSpec, NoConfig, VideoField, hookimpl


class MeanFrame(nn.Module):
    farthest = sys.maxsize

    def __init__(self, backbone: None, data: DataSpec[VideoField], config: NoConfig) -> None:
        super().__init__()

    def encode(self, clips: Tensor) -> Tensor:
        return clips.mean(1).flatten(1)  # (B,C*H*W)

    def forecast(self, past: Tensor, steps: int) -> Tensor:
        return past.mean(1, keepdim=True).expand(-1, steps, -1, -1, -1)

    def infill(self, before: Tensor, after: Tensor, far: int) -> Tensor:
        return (before[:, -1] + after[:, 0]) / 2


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="mean-frame",
        kind="reference",
        build=MeanFrame,
        takes=("video",),
        uses_backbone=False,
        source="no learning",
    )
