"""Frame order: in which order were the frames? Lee et al. 2017, arXiv:1708.01246 (after Misra et al. 2016, 1603.08561).

A few frames at even distances are shuffled and shown to the backbone as a clip; which order they are in is the answer.
An order is told by the rank in time of each frame that is shown. Ranks and the same ranks counted from the end are one
answer, as in the paper, since much of what moves could as well move backwards: 3 answers for 3 frames (which of them is
the one in the middle), 12 for 4. `reverse=true` tells them apart.

Against shortcuts. When a window begins is drawn for each clip, so that nothing is known of the first frame of a film.
Each clip is moved as a whole, so that a place in the picture (a wall, a border) is no clock, and is not moved frame by
frame, which would hide the motion that is to be seen; `jitter` moves each frame by itself (section 3.2 of the paper),
for data whose borders or codecs give neighbours away. The distance between frames is drawn for all clips of
a batch, and so the same for all orders; `farthest` keeps it below what makes a path turn back on itself (the paper
chooses its windows by how much moves in them).
Differs from the paper: the frames go through the backbone as one clip; no choice of windows by optical flow.

B clips, n frames, K answers, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.augment import random_shift
from harness.nn.clips import WHOLE, WINDOWS, centred_windows, read_clips, taken
from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NotApplicable, VideoField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    frames: int = 3  # n, that are put in order: 2 to 5
    farthest: int = 2  # most frames from one that is shown to the next in time; as many as the clip has room for
    reverse: bool = False  # are an order and its reverse two answers?
    shift: float = 0.1  # largest shift of a whole clip, as a fraction of the frame's size
    jitter: float = 0.0  # largest shift of each frame by itself
    hidden: int = 256  # units of the head's hidden layer

    def __post_init__(self) -> None:
        if not 2 <= self.frames <= 5 or (self.frames == 2 and not self.reverse):
            raise ValueError(f"frames={self.frames}: expected 3 to 5 frames, or 2 with reverse=true")
        if not 0 <= self.shift < 0.5 or not 0 <= self.jitter < 0.5:
            raise ValueError("shift and jitter are fractions of the frame's size in [0,0.5)")
        if self.hidden < 1 or self.farthest < 1:
            raise ValueError("hidden and farthest must be at least 1")


class FrameOrder(nn.Module):
    orders: Tensor  # int64 (K,n)

    def __init__(self, backbone: Backbone, data: DataSpec[VideoField], config: Config) -> None:
        super().__init__()
        reason = applies(data, config)
        if reason:
            raise NotApplicable(reason)
        self.config = config
        self.widest = min(config.farthest, (data.inputs.frames - 1) // (config.frames - 1))
        self.register_buffer("orders", torch.tensor(orders_of(config.frames, config.reverse)))
        self.backbone = backbone  # (B,n,C,H,W) -> (B,D)
        self.head = nn.Sequential(
            nn.Linear(backbone.dim, config.hidden), nn.ReLU(), nn.Linear(config.hidden, len(self.orders))
        )  # (B,D) -> (B,K)

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        clips, config = random_shift(batch.inputs, self.config.shift), self.config
        n, device = len(clips), clips.device
        stride = int(torch.randint(1, self.widest + 1, ()))
        strides = torch.full((n,), stride, device=device)
        frames = centred_windows(clips, config.frames, strides, stride)  # (B,n,C,H,W)
        if config.jitter:
            frames = random_shift(frames.flatten(0, 1), config.jitter).unflatten(0, frames.shape[:2])
        answers = torch.randint(len(self.orders), (n,), device=device)  # (B,)
        orders = self.orders[answers]
        if not config.reverse:
            orders = torch.where(torch.rand(n, 1, device=device) < 0.5, orders, from_the_end(orders))
        return self.head(self.backbone(taken(frames, orders))), answers

    def loss(self, batch: Batch) -> Tensor:
        logits, answers = self.solve(batch)
        batch.log("accuracy", (logits.argmax(1) == answers).float().mean())
        return F.cross_entropy(logits, answers)  # nats per clip

    def encode(self, clips: Tensor) -> Tensor:
        return self.read(clips, WINDOWS)

    def readouts(self) -> tuple[str, ...]:
        return (WINDOWS, WHOLE)

    def read(self, clips: Tensor, readout: str) -> Tensor:
        return read_clips(self.backbone, clips, self.config.frames, readout)  # (B,D)


def orders_of(frames: int, reverse: bool) -> list[tuple[int, ...]]:
    """All orders of so many frames, as ranks, or those of which each stands for the same counted from the end too.

    >>> orders_of(3, reverse=False)
    [(0, 1, 2), (0, 2, 1), (1, 0, 2)]
    """
    orders = list(permutations(range(frames)))
    return [order for order in orders if reverse or order < tuple(frames - 1 - rank for rank in order)]


def from_the_end(orders: Tensor) -> Tensor:
    """The orders (B,n) of frames that are shown alike, where time runs the other way."""
    return orders.shape[1] - 1 - orders


def applies(data: DataSpec[VideoField], config: Config) -> str:
    if data.inputs.frames < config.frames:
        return f"clips of {data.inputs.frames} frames have no {config.frames} to put in order: take fewer"
    return ""


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="frame-order",
        kind="pretext",
        build=FrameOrder,
        config=Config,
        takes=("video",),
        applies=applies,
        source="arXiv:1708.01246",
    )
