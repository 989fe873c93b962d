"""Next frames: the future of a clip from its past and present. Srivastava et al. 2015, arXiv:1502.04681, section 2.

The backbone sees the last P frames up to the present as a clip, and gives one code for them. Of the code and the
present frame the next F frames are painted at once: moved copies of the present, the present as it is, and what the
code draws, mixed in each pixel (harness.nn.painting, after Finn et al. 2016, arXiv:1605.07157). A second term asks
the drawing alone for the future, so that the code has to say what moves, and not only how; a third for
the present (the composite model, section 2.3). All is squared error.
Windows begin anywhere in a clip, as long as it has a future. Beyond F frames, the painted ones are its past.

The future is one answer: where several are possible, the squared error is least for their mean, which is blurred, and
the further ahead the more. It is left so, and told: `prediction` has SSIM, which punishes blur, beside the squared
error, which rewards it. `norm=1` takes the absolute error, whose best answer is the median, one of the futures where
they are few; `edges` adds the gradient difference loss of Mathieu et al. 2016, arXiv:1511.05440, equation 6.
Differs from the papers: one window, no recurrent decoder; small networks.

B clips, T frames, P of the past, F painted, C channels, H=W pixels, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from harness.nn.clips import WHOLE, WINDOWS, read_clips
from harness.nn.decoders import ConvDecoder
from harness.nn.painting import FramePainter
from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NotApplicable, VideoField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    past: int = 4  # P, the present among them
    ahead: int = 8  # F at most; clips with fewer frames left over have less
    copies: int = 2  # moved copies of the present frame: one for each thing that moves on its own
    norm: Literal[2, 1] = 2  # squared or absolute error
    drawing: float = 2.0  # weight of the error of what the code draws alone
    present: float = 4.0  # weight of the error of the present frame, drawn from the code alone
    edges: float = 0.0  # weight of the gradient difference loss

    def __post_init__(self) -> None:
        if self.past < 1 or self.ahead < 1 or self.copies < 1:
            raise ValueError("past, ahead and copies must be at least 1")
        if min(self.drawing, self.present, self.edges) < 0:
            raise ValueError("drawing, present and edges are weights: at least 0")


class NextFrame(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[VideoField], config: Config) -> None:
        super().__init__()
        reason = applies(data, config)
        if reason:
            raise NotApplicable(reason)
        self.config = config
        self.ahead = min(config.ahead, data.inputs.frames - config.past)  # F
        self.backbone = backbone  # (B,P,C,H,W) -> (B,D)
        self.painter = FramePainter(backbone.dim, data.inputs.frame, painted=self.ahead, known=1, copies=config.copies)

        frame = DataSpec(inputs=data.inputs.frame)
        self.present = ConvDecoder(backbone.dim, frame) if config.present else None  # (B,D) -> (B,C,H,W)

    def loss(self, batch: Batch) -> Tensor:
        clips, past = batch.inputs, self.config.past
        begin = int(torch.randint(clips.shape[1] - past, ()))
        future = clips[:, begin + past : begin + past + self.ahead]  # (B,f,C,H,W), f up to F
        seen = clips[:, begin : begin + past]  # (B,P,C,H,W)
        code = self.backbone(seen)
        painted, drawn = self.painter(code, seen[:, -1:])
        painted, drawn = painted[:, : future.shape[1]].float(), drawn[:, : future.shape[1]].float()
        error = difference(painted, future, self.config.norm)
        batch.log("error", error)
        loss = error + self.config.drawing * difference(drawn, future, self.config.norm)
        if self.present is not None:
            present = self.present(code).float()
            loss = loss + self.config.present * difference(present, seen[:, -1], self.config.norm)
        return loss + self.config.edges * edge_difference(painted, future) if self.config.edges else loss

    def painted(self, past: Tensor) -> tuple[Tensor, Tensor]:
        """The next F frames and what of them the code alone draws: (B,P,C,H,W) -> (B,F,C,H,W) twice."""
        return self.painter(self.backbone(past), past[:, -1:])

    def forecast(self, past: Tensor, steps: int) -> Tensor:
        clips = past
        while clips.shape[1] < past.shape[1] + steps:
            clips = torch.cat([clips, self.painted(clips[:, -self.config.past :])[0].clamp(0, 1)], 1)
        return clips[:, past.shape[1] : past.shape[1] + steps]

    def encode(self, clips: Tensor) -> Tensor:
        return self.read(clips, WINDOWS)

    def readouts(self) -> tuple[str, ...]:
        return (WINDOWS, WHOLE)

    def read(self, clips: Tensor, readout: str) -> Tensor:
        return read_clips(self.backbone, clips, self.config.past, readout)  # (B,D)


def difference(painted: Tensor, truth: Tensor, norm: int) -> Tensor:
    """The mean squared (2) or absolute (1) difference of values: a scalar."""
    gap = painted - truth
    return gap.square().mean() if norm == 2 else gap.abs().mean()


def edge_difference(painted: Tensor, truth: Tensor) -> Tensor:
    """How much the differences between neighbouring pixels differ in size, on average: (...,H,W) twice -> a scalar.

    Mathieu et al. 2016, arXiv:1511.05440, equation 6, with alpha = 1.
    """
    gaps = [(painted.diff(dim=axis).abs() - truth.diff(dim=axis).abs()).abs().mean() for axis in (-1, -2)]
    return gaps[0] + gaps[1]


def applies(data: DataSpec[VideoField], config: Config) -> str:
    if data.inputs.frames <= config.past:
        return f"clips of {data.inputs.frames} frames have no future after past={config.past} of them: take fewer"
    return ""


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="next-frame",
        kind="pretext",
        build=NextFrame,
        config=Config,
        takes=("video",),
        applies=applies,
        source="arXiv:1502.04681",
    )
