"""Prediction: how well does a method continue a clip, by how far ahead? Against copying the last frame.

The method sees the first frames of each test clip and tells the next 8, or as many as there are. `mse_h`, `psnr_h` and
`ssim_h` are of the frames h ahead, `skill_h` is 1 - mse_h / mse_h of the copy (harness.judging.told_frames).

n clips, T frames, P of them seen, F told, C channels, H=W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from harness.data.images import to_float
from harness.judging.told_frames import FARTHEST, Moving, Told, checked, frame_scores, judged
from harness.plugin import EvaluationSpec, NotApplicable, ScoreValue, Subject, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    past: int = 4  # P, first frames that are seen
    shown: int = 5  # test clips in the picture

    def __post_init__(self) -> None:
        if min(self.past, self.shown) < 1:
            raise ValueError("past and shown must be at least 1")


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    frames = subject.spec.inputs.shape[0]
    far = min(FARTHEST, frames - config.past)
    if far < 1:
        raise NotApplicable(f"clips of {frames} frames have no future after past={config.past} of them")
    return judged(
        subject,
        "prediction",
        lambda clips: continued(subject, clips, config.past, far),
        lambda clips: moving_on(subject, clips, config.past, far),
        "frames that follow",
        shown=config.shown,
        place=12,
    )


def continued(subject: Subject, clips: Tensor, past: int, far: int) -> Told:
    """The `far` frames after the first `past` of uint8 clips (n,T,C,H,W)."""
    truth = to_float(clips[:, past : past + far])
    told = subject.batched(lambda seen: subject.method.forecast(seen, far), clips[:, :past])
    return Told(truth, checked("forecast()", told, truth), to_float(clips[:, past - 1 : past]).expand_as(truth))


def moving_on(subject: Subject, clips: Tensor, past: int, far: int) -> Moving:
    """The past of the clips, and how they go on."""
    seen = to_float(clips[:, :past])
    how = f"frames that follow, after {past} that are seen"
    return Moving(seen, continued(subject, clips, past, far), seen[:, :0], how)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="prediction",
        run=run,
        takes=("video",),
        needs=("forecast",),
        config=Config,
        source="SSIM: Wang et al. 2004, doi:10.1109/TIP.2003.819861; skill: Murphy 1988, Mon. Wea. Rev. 116",
        scores=tuple(frame_scores("Predicts the future")),
    )
