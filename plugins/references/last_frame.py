"""The last frame: nothing moves. What any prediction has to beat, and what the present alone tells of a clip.

As a representation it is the pixels of the last frame; as a prediction the last frame that was seen, again and again.
In a gap it is the last one before it.

B clips, T frames, C channels, H=W pixels.
"""

from __future__ import annotations

import sys

from torch import Tensor, nn

from harness.plugin import DataSpec, MethodSpec, NoConfig, VideoField, hookimpl


class LastFrame(nn.Module):
    farthest = sys.maxsize

    def __init__(self, backbone: None, data: DataSpec[VideoField], config: NoConfig) -> None:
        super().__init__()

    def encode(self, clips: Tensor) -> Tensor:
        return clips[:, -1].flatten(1)  # (B,C*H*W)

    def forecast(self, past: Tensor, steps: int) -> Tensor:
        return past[:, -1:].expand(-1, steps, -1, -1, -1)

    def infill(self, before: Tensor, after: Tensor, far: int) -> Tensor:
        return before[:, -1]


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="last-frame",
        kind="reference",
        build=LastFrame,
        takes=("video",),
        uses_backbone=False,
        source="no learning",
    )
