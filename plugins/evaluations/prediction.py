"""Prediction: how well does a method continue a clip, by how far ahead? Against copying the last frame.

The method sees the first frames of each test clip and tells the next 8, or as many as there are. `mse_h`, `psnr_h` and
`ssim_h` are of the frames h ahead, `skill_h` is 1 - mse_h / mse_h of the copy (harness.judging.told_frames). A method
that draws futures (`sample_future`) is asked for `draws` of them too: the best, one alone, and their mean
(harness.judging.futures).

n clips, T frames, P of them seen, F told, C channels, H=W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data.images import to_float
from harness.judging.futures import drawn_score_specs, drawn_scores
from harness.judging.told_frames import FARTHEST, Moving, Told, checked, frame_scores, judged
from harness.plugin import EvaluationSpec, NotApplicable, ScoreValue, Subject, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    past: int = 4  # P, first frames that are seen
    shown: int = 5  # test clips in the picture
    draws: int = 10  # futures of each test clip, of methods that draw them

    def __post_init__(self) -> None:
        if min(self.past, self.shown, self.draws) < 1:
            raise ValueError("past, shown and draws must be at least 1")


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    frames = subject.spec.inputs.shape[0]
    far = min(FARTHEST, frames - config.past)
    if far < 1:
        raise NotApplicable(f"clips of {frames} frames have no future after past={config.past} of them")
    scores = judged(
        subject,
        "prediction",
        lambda clips: continued(subject, clips, config.past, far),
        lambda clips: moving_on(subject, clips, config.past, far),
        "frames that follow",
        shown=config.shown,
        place=12,
    )
    if not subject.has("sample_future"):
        return scores
    generator = subject.generator("futures")
    return scores | drawn_scores(
        subject, lambda clips: drawn(subject, clips, config.past, far, generator), config.draws
    )


def continued(subject: Subject, clips: Tensor, past: int, far: int) -> Told:
    """The `far` frames after the first `past` of uint8 clips (n,T,C,H,W)."""
    truth = to_float(clips[:, past : past + far])
    told = subject.batched(lambda seen: subject.method.forecast(seen, far), clips[:, :past])
    return Told(truth, checked("forecast()", told, truth), to_float(clips[:, past - 1 : past]).expand_as(truth))


def drawn(subject: Subject, clips: Tensor, past: int, far: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The same frames, true and in one future that is drawn."""
    truth = to_float(clips[:, past : past + far])
    future = subject.batched(lambda seen: subject.method.sample_future(seen, far, generator), clips[:, :past])
    return truth, checked("sample_future()", future, truth)


def moving_on(subject: Subject, clips: Tensor, past: int, far: int) -> Moving:
    """The past of the clips, and how they go on."""
    seen = to_float(clips[:, :past])
    how = f"frames that follow, after {past} that are seen"
    others = {}
    if subject.has("sample_future"):
        generator = subject.generator("futures to look at")
        others = {name: drawn(subject, clips, past, far, generator)[1] for name in ("drawn", "drawn again")}
    return Moving(seen, continued(subject, clips, past, far), seen[:, :0], how, others)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="prediction",
        run=run,
        takes=("video",),
        needs=("forecast",),
        config=Config,
        source="SSIM: Wang et al. 2004, doi:10.1109/TIP.2003.819861; skill: Murphy 1988, Mon. Wea. Rev. 116",
        scores=(*frame_scores("Predicts the future"), *drawn_score_specs()),
    )
