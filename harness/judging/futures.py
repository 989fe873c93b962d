"""Futures that a method draws, where more than one is possible: of the best of them, of one alone, and of their mean.

An error over single predictions is least for the mean of all futures, which is blurred where they differ. Of n futures
that are drawn for each clip, there are three answers, each averaged over the frames told:

best    of the draw that is nearest to what came, by this score (Denton and Fergus 2018, arXiv:1802.07687, section 4):
        is what came among what the method deems possible? More draws are never worse, and gain a blur nothing
drawn   the mean over draws: of one future alone. Its squared error is that of the mean and the draws' own variance
mean    of the draws' mean: the blurred answer, beside that of a method which has one answer only

n clips, F frames told, C channels, H=W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from harness.data.columns import blocks
from harness.judging.subject import Subject
from harness.metrics.similarity import peak_signal_to_noise, squared_error, structural_similarity
from harness.records import Better, ScoreSpec, ScoreValue

PART = 256  # clips in memory at once
KINDS: dict[str, tuple[str, Better, float, float, str]] = {
    "mse": ("squared pixel value", "lower", 0.0, 1.0, "Mean squared error per value"),
    "psnr": ("dB", "higher", 0.0, 100.0, "Peak signal-to-noise ratio of each frame, averaged,"),
    "ssim": ("similarity", "higher", -1.0, 1.0, "Structural similarity"),
}
ANSWERS = {
    "best": "of the best of several drawn futures, by this score",
    "drawn": "of one drawn future, the mean over several",
    "mean": "of the mean of several drawn futures, which is blurred where they differ",
}


def drawn_scores(
    subject: Subject, draw: Callable[[Tensor], tuple[Tensor, Tensor]], draws: int
) -> dict[str, ScoreValue]:
    """The scores of `draws` futures of each test clip: `draw` takes uint8 clips (n,T,C,H,W) and gives the true and one
    drawn future, float (n,F,C,H,W) each.
    """
    parts = [_of_part(partial(draw, part), draws) for part in blocks(subject.inputs("test"), PART)]
    found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    note = f"{draws} futures drawn for each clip"
    return {name: ScoreValue(value=float(v.mean()), note=note, outcomes=v) for name, v in found.items()}


def _of_part(draw: Callable[[], tuple[Tensor, Tensor]], draws: int) -> dict[str, Tensor]:
    """By name of the score: float64 (n,)."""
    by_draw, total = [], torch.zeros(())
    for _ in range(draws):
        truth, future = draw()
        total = total + future
        by_draw.append(_scores(future, truth))
    mean = _scores(total / draws, truth)
    found = {}
    for name, (_, better, *_) in KINDS.items():
        each = torch.stack([scores[name] for scores in by_draw])  # (draws,n)
        found[f"{name}_best"] = each.amin(0) if better == "lower" else each.amax(0)
        found[f"{name}_drawn"] = each.mean(0)
        found[f"{name}_mean"] = mean[name]
    return found


def _scores(told: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """The mean over frames (n,F,C,H,W) of each clip: float64 (n,)."""
    one, two, shape = told.flatten(0, 1), truth.flatten(0, 1), truth.shape[:2]
    error = squared_error(one, two).view(shape)
    similar = structural_similarity(two, one).view(shape)
    return {"mse": error.mean(1), "psnr": peak_signal_to_noise(error).mean(1), "ssim": similar.mean(1)}


def drawn_score_specs() -> Iterator[ScoreSpec]:
    """The scores of `drawn_scores`."""
    for answer, told in ANSWERS.items():
        for name, (unit, better, low, high, what) in KINDS.items():
            help = f"{what} {told}."
            yield ScoreSpec(name=f"{name}_{answer}", unit=unit, better=better, low=low, high=high, help=help)
