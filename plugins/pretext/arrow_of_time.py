"""The arrow of time: does the clip run forwards or backwards? Wei et al. 2018, "Learning and using the arrow of time".

There is an answer only where the world tells one: things that fall, slow down, break. What moves without friction and
bounces off walls is as likely backwards: on `moving-digits` as it is nobody can beat one half, which `pretext` shows;
`moving-digits[friction=0.1]` has an arrow.

Against shortcuts. Half of the clips, drawn anew each time, are turned round. With `frames` below the clip's, when a
window begins is drawn for each clip, so that what is special about the beginning of a film (titles, a camera that is
put down) is no answer. Each clip is moved as a whole and mirrored at random where the dataset's motion allows it
(`flip`), so that a drift to one side (the cameraman's, section 3.2 of the paper) is no clock.

B clips, T frames, n of them seen, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.augment import random_flip, random_shift
from harness.nn.clips import centred_windows
from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NotApplicable, VideoField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    frames: int = 8  # n, neighbours; all of shorter clips
    shift: float = 0.1  # largest shift of a whole clip, as a fraction of the frame's size
    flip: bool = False  # mirror half of the clips: for films, not for writing
    hidden: int = 256  # units of the head's hidden layer

    def __post_init__(self) -> None:
        if self.frames < 2 or self.hidden < 1:
            raise ValueError("frames must be at least 2, hidden at least 1")
        if not 0 <= self.shift < 0.5:
            raise ValueError("shift is a fraction of the frame's size in [0,0.5)")


class ArrowOfTime(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[VideoField], config: Config) -> None:
        super().__init__()
        reason = applies(data, config)
        if reason:
            raise NotApplicable(reason)
        self.config = config
        self.frames = min(config.frames, data.inputs.frames)  # n
        self.backbone = backbone  # (B,n,C,H,W) -> (B,D)
        self.head = nn.Sequential(
            nn.Linear(backbone.dim, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 2)
        )  # (B,D) -> (B,2)

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        clips = random_flip(batch.inputs) if self.config.flip else batch.inputs
        clips = random_shift(clips, self.config.shift)
        n, device = len(clips), clips.device
        clips = centred_windows(clips, self.frames, torch.ones(n, dtype=torch.int64, device=device), 1)
        answers = torch.randint(2, (n,), device=device)  # (B,): 1 for backwards
        seen = torch.where(answers.view(-1, 1, 1, 1, 1) == 1, clips.flip(1), clips)
        return self.head(self.backbone(seen)), answers

    def loss(self, batch: Batch) -> Tensor:
        logits, answers = self.solve(batch)
        batch.log("accuracy", (logits.argmax(1) == answers).float().mean())
        return F.cross_entropy(logits, answers)  # nats per clip

    def encode(self, clips: Tensor) -> Tensor:
        return self.backbone(clips)  # (B,D)


def applies(data: DataSpec[VideoField], config: Config) -> str:
    return "" if data.inputs.frames > 1 else "clips of one frame have no time"


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="arrow-of-time",
        kind="pretext",
        build=ArrowOfTime,
        config=Config,
        takes=("video",),
        applies=applies,
        source="Wei et al. 2018, doi:10.1109/CVPR.2018.00840",
    )
