"""The middle frame: the present of a clip from its past and its future. Niklaus et al. 2017, arXiv:1708.01692.

The backbone sees P frames before a gap and P frames after it as one clip of 2P frames, and gives one code. Of the code
and the two frames at the edges of the gap the frame in its middle is painted, as in `next-frame`: moved copies of both,
both as they are, and what the code draws (harness.nn.painting). Gaps of 1, 3, 5 ... frames come in turn, at random, and
the code is asked for each gap by an output of its own; the middle is h frames from the nearest that is seen. A second
term asks the drawing alone, and a third for the two frames at the edges of the gap, drawn from the code alone, as
`next-frame` asks for the present: of what can be copied, a code need say nothing else. It is all squared error: where
the middle is uncertain, it is the blurred mean.
Differs from the paper: one kernel for a whole copy, with a mask, instead of one for each pixel; small networks.

B clips, T frames, P on each side, K gaps, C channels, H=W pixels, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.nn.clips import WHOLE, WINDOWS, read_clips
from harness.nn.decoders import ConvDecoder
from harness.nn.painting import FramePainter
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, NotApplicable, VideoField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    sides: int = 2  # P, frames that are seen before the gap, and as many after it
    farthest: int = 4  # K at most: how far the middle is from the nearest seen frame; a clip has to have so many frames
    copies: int = 2  # moved copies of each of the two frames at the edges
    drawing: float = 2.0  # weight of the error of what the code draws alone
    edges: float = 4.0  # weight of the error of the two frames at the edges, drawn from the code alone

    def __post_init__(self) -> None:
        if self.sides < 1 or self.farthest < 1 or self.copies < 1:
            raise ValueError("sides, farthest and copies must be at least 1")
        if min(self.drawing, self.edges) < 0:
            raise ValueError("drawing and edges are weights: at least 0")


class MiddleFrame(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[VideoField], config: Config) -> None:
        super().__init__()
        reason = applies(data, config)
        if reason:
            raise NotApplicable(reason)
        self.config = config
        self.gaps = min(config.farthest, (data.inputs.frames - 2 * config.sides + 1) // 2)  # K
        self.backbone = backbone  # (B,2P,C,H,W) -> (B,D)
        self.painter = FramePainter(backbone.dim, data.inputs.frame, painted=self.gaps, known=2, copies=config.copies)
        both = ImageField(channels=2 * data.inputs.channels, size=data.inputs.size)
        self.edges = ConvDecoder(backbone.dim, DataSpec(inputs=both)) if config.edges else None  # (B,D) -> (B,2C,H,W)

    def loss(self, batch: Batch) -> Tensor:
        clips, sides = batch.inputs, self.config.sides
        far = int(torch.randint(1, self.gaps + 1, ()))  # the gap has 2 * far - 1 frames
        begin = int(torch.randint(clips.shape[1] - 2 * sides - 2 * far + 2, ()))
        after = begin + sides + 2 * far - 1
        truth = clips[:, begin + sides + far - 1]  # (B,C,H,W)
        seen = clips[:, begin : begin + sides], clips[:, after : after + sides]
        code = self.coded(*seen)
        painted, drawn = self.painted(code, *seen, far)
        error = (painted.float() - truth).square().mean()
        batch.log("error", error)
        loss = error + self.config.drawing * (drawn.float() - truth).square().mean()
        if self.edges is None:
            return loss
        both = torch.cat([seen[0][:, -1], seen[1][:, 0]], 1)  # (B,2C,H,W)
        return loss + self.config.edges * (self.edges(code).float() - both).square().mean()

    def coded(self, before: Tensor, after: Tensor) -> Tensor:
        """(B,P,C,H,W) twice -> (B,D)."""
        return self.backbone(torch.cat([before, after], 1))

    def painted(self, code: Tensor, before: Tensor, after: Tensor, far: int) -> tuple[Tensor, Tensor]:
        """The frame in the middle, and what the code alone draws of it: (B,C,H,W) twice."""
        painted, drawn = self.painter(code, torch.stack([before[:, -1], after[:, 0]], 1))  # (B,K,C,H,W) each
        return painted[:, far - 1], drawn[:, far - 1]

    @property
    def farthest(self) -> int:
        """How many frames away from the nearest one that it sees a frame can be, for `infill`."""
        return self.gaps

    def infill(self, before: Tensor, after: Tensor, far: int) -> Tensor:
        before, after = before[:, -self.config.sides :], after[:, : self.config.sides]
        return self.painted(self.coded(before, after), before, after, far)[0].clamp(0, 1)

    def encode(self, clips: Tensor) -> Tensor:
        return self.read(clips, WINDOWS)

    def readouts(self) -> tuple[str, ...]:
        return (WINDOWS, WHOLE)

    def read(self, clips: Tensor, readout: str) -> Tensor:
        return read_clips(self.backbone, clips, 2 * self.config.sides, readout)  # (B,D)


def applies(data: DataSpec[VideoField], config: Config) -> str:
    if data.inputs.frames <= 2 * config.sides:
        return f"clips of {data.inputs.frames} frames have no middle between sides={config.sides} on each side"
    return ""


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="middle-frame",
        kind="pretext",
        build=MiddleFrame,
        config=Config,
        takes=("video",),
        applies=applies,
        source="arXiv:1708.01692",
    )
