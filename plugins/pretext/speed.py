"""Speed: at which pace does the clip run? Benaim et al. 2020, arXiv:2004.06130; Wang et al. 2020, arXiv:2008.05861.

Frames are taken 1, 2 ... K apart, always as many of them, and the distance is the answer. Things of unlike speed make
it uncertain, which no learner can mend: a slow digit at twice its pace moves as one of twice its speed.

Against shortcuts. A window lies about a place that is drawn alike for all paces, so that when in the clip it is tells
nothing (harness.nn.clips). Frames are skipped and never mixed, so that no blur gives a pace away, and clips of all
paces have as many. Each clip is moved as a whole, so that how far from a wall something is counts little. The share of
bounces, which fast clips have more of, is part of how motion looks and stays.

B clips, n frames, K paces, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.augment import random_shift
from harness.nn.clips import WHOLE, WINDOWS, centred_windows, read_clips
from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NotApplicable, VideoField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    paces: int = 3  # K: frames that are 1 to K apart
    frames: int = 4  # n; fewer where the widest window does not fit into a clip
    shift: float = 0.1  # largest shift of a whole clip, as a fraction of the frame's size
    hidden: int = 256  # units of the head's hidden layer

    def __post_init__(self) -> None:
        if self.paces < 2 or self.frames < 2 or self.hidden < 1:
            raise ValueError("paces and frames must be at least 2, hidden at least 1")
        if not 0 <= self.shift < 0.5:
            raise ValueError("shift is a fraction of the frame's size in [0,0.5)")


class Speed(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[VideoField], config: Config) -> None:
        super().__init__()
        reason = applies(data, config)
        if reason:
            raise NotApplicable(reason)
        self.config = config
        self.frames = min(config.frames, (data.inputs.frames - 1) // config.paces + 1)  # n
        self.backbone = backbone  # (B,n,C,H,W) -> (B,D)
        self.head = nn.Sequential(
            nn.Linear(backbone.dim, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.paces)
        )  # (B,D) -> (B,K)

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        clips = random_shift(batch.inputs, self.config.shift)
        answers = torch.randint(self.config.paces, (len(clips),), device=clips.device)  # (B,)
        seen = centred_windows(clips, self.frames, answers + 1, self.config.paces)  # (B,n,C,H,W)
        return self.head(self.backbone(seen)), answers

    def loss(self, batch: Batch) -> Tensor:
        logits, answers = self.solve(batch)
        batch.log("accuracy", (logits.argmax(1) == answers).float().mean())
        return F.cross_entropy(logits, answers)  # nats per clip

    def encode(self, clips: Tensor) -> Tensor:
        return self.read(clips, WINDOWS)

    def readouts(self) -> tuple[str, ...]:
        return (WINDOWS, WHOLE)

    def read(self, clips: Tensor, readout: str) -> Tensor:
        return read_clips(self.backbone, clips, self.frames, readout)  # (B,D)


def applies(data: DataSpec[VideoField], config: Config) -> str:
    if data.inputs.frames <= config.paces:
        return f"clips of {data.inputs.frames} frames have no two that are {config.paces} apart: take fewer paces"
    return ""


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="speed",
        kind="pretext",
        build=Speed,
        config=Config,
        takes=("video",),
        applies=applies,
        source="arXiv:2004.06130, arXiv:2008.05861",
    )
