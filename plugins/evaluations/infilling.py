"""Infilling: how well does a method tell the frame in the middle of a gap? Against copying the last one before it.

The method sees frames before and after a gap of 2h-1 frames, and tells the one in its middle, which is h frames from
the nearest seen. `mse_h`, `psnr_h` and `ssim_h` are of such frames, `skill_h` is 1 - mse_h / mse_h of the copy
(harness.judging.told_frames). Gaps lie in the middle of the clip.

n clips, T frames, F distances, C channels, H=W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data.images import to_float
from harness.judging.told_frames import FARTHEST, Moving, Told, checked, frame_scores, judged
from harness.plugin import EvaluationSpec, NotApplicable, ScoreValue, Subject, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    sides: int = 2  # frames that are seen before a gap, and as many after it
    shown: int = 5  # test clips in the picture

    def __post_init__(self) -> None:
        if min(self.sides, self.shown) < 1:
            raise ValueError("sides and shown must be at least 1")


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    frames = subject.spec.inputs.shape[0]
    far = min(FARTHEST, (frames - 2 * config.sides + 1) // 2, subject.method.farthest)
    if far < 1:
        raise NotApplicable(f"clips of {frames} frames have no gap between sides={config.sides} frames on each side")
    return judged(
        subject,
        "infilling",
        lambda clips: filled(subject, clips, config.sides, far),
        lambda clips: each_filled(subject, clips, config.sides),
        "frames in the middle of a gap",
        shown=config.shown,
        place=14,
    )


def filled(subject: Subject, clips: Tensor, sides: int, far: int) -> Told:
    """The frames in the middle of gaps of 1, 3 ... 2 * far - 1 frames of uint8 clips (n,T,C,H,W)."""
    begins = {distance: (clips.shape[1] - 2 * sides - 2 * distance + 1) // 2 for distance in range(1, far + 1)}
    return in_order([gap(subject, clips, sides, begin, distance) for distance, begin in begins.items()])


def each_filled(subject: Subject, clips: Tensor, sides: int) -> Moving:
    """Each frame that has `sides` true ones on both sides, told from them."""
    last = clips.shape[1] - sides
    frames = in_order([gap(subject, clips, sides, begin, 1) for begin in range(last - sides)])
    how = f"each frame from the {sides} before and the {sides} after it"
    return Moving(to_float(clips[:, :sides]), frames, to_float(clips[:, last:]), how)


def gap(subject: Subject, clips: Tensor, sides: int, begin: int, distance: int) -> Told:
    """The frame in the middle of one gap of 2 * distance - 1 frames, `begin` the first that is seen: (n,1,C,H,W)."""
    after = begin + sides + 2 * distance - 1
    seen = torch.cat([clips[:, begin : begin + sides], clips[:, after : after + sides]], 1)
    truth = to_float(clips[:, begin + sides + distance - 1])

    def paint(both: Tensor) -> Tensor:
        return subject.method.infill(both[:, :sides], both[:, sides:], distance)

    told = checked("infill()", subject.batched(paint, seen), truth)
    return Told(*(frame[:, None] for frame in (truth, told, to_float(seen[:, sides - 1]))))


def in_order(frames: list[Told]) -> Told:
    """One after the other."""
    return Told(*(torch.cat([getattr(one, part) for one in frames], 1) for part in ("truth", "told", "copied")))


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="infilling",
        run=run,
        takes=("video",),
        needs=("infill",),
        config=Config,
        source="SSIM: Wang et al. 2004, doi:10.1109/TIP.2003.819861; skill: Murphy 1988, Mon. Wea. Rev. 116",
        scores=tuple(frame_scores("Predicts the present from both sides")),
    )
