"""Frames that a method has told, against the true ones and a copy: errors, scores and pictures by their distance.

mse_h    mean (x - x')^2 of the frames h from the nearest seen one, values in [0,1]
psnr_h   -10 log10 of each frame's squared error in dB, mean over clips
ssim_h   structural similarity (Wang et al. 2004): punishes the blur that squared error rewards
skill_h  1 - mse_h / mse_h of the copy: 0 is copying the last seen frame, 1 exact (Murphy 1988, equation 4)

Without a number they are the mean over all h, for the skill of both errors before they are divided.

N clips, C channels, H=W pixels, F frames told of each clip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.data.columns import Column, blocks
from harness.errors import TrainingFailed
from harness.judging.subject import Subject
from harness.metrics.similarity import peak_signal_to_noise, squared_error, structural_similarity
from harness.records import ScoreSpec, ScoreValue

FARTHEST = 8  # frames from the nearest seen one that are scored
PART = 256  # clips in memory at once


@dataclass(frozen=True)
class Told:
    """What is to be told of some clips: true frames, those of the method, and copies, float (n,F,C,H,W) each."""

    truth: Tensor
    told: Tensor
    copied: Tensor


@dataclass(frozen=True)
class Moving:
    """Clips as a film has them: what all see of them before, what is told of each, and what all see after."""

    before: Tensor  # float (n,P,C,H,W)
    frames: Told
    after: Tensor  # float (n,A,C,H,W)
    how: str  # what is told
    others: Mapping[str, Tensor] = field(
        default_factory=dict
    )  # further rows: float (n,F,C,H,W) in the told ones' place


def judged(
    subject: Subject,
    name: str,
    tell: Callable[[Tensor], Told],
    move: Callable[[Tensor], Moving],
    how: str,
    *,
    shown: int,
    place: int,
) -> dict[str, ScoreValue]:
    """The scores of what is told of the test clips, with pictures: `tell` and `move` take uint8 clips (n,T,C,H,W)."""
    clips = subject.inputs("test")
    parts = [measured(tell(part)) for part in blocks(clips, PART)]
    error, similarity, copied, copied_similarity = (torch.cat(each) for each in zip(*parts, strict=True))  # (N,F) each
    looked_at = spread(clips, shown)
    show_strips(subject, name, tell(looked_at), how, place)
    show_film(subject, name, move(looked_at), place)
    show_by_distance(subject, name, how, (error, copied), (similarity, copied_similarity), place + 1)
    return scores_of(error, similarity, copied, f"{how}, up to {error.shape[1]} from the nearest seen one")


def checked(what: str, told: Tensor, truth: Tensor) -> Tensor:
    """In [0,1]. Raises TrainingFailed unless there is one finite frame for each."""
    if told.shape != truth.shape:
        raise TrainingFailed(f"{what} gave {tuple(told.shape)}, expected {tuple(truth.shape)}")
    if not torch.isfinite(told).all():
        raise TrainingFailed(f"{what} gave values that are not finite")
    return told.clamp(0, 1)


def measured(frames: Told) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Squared error and SSIM of what is told, then of the copy: float64 (n,F) each."""
    found: list[Tensor] = []
    for told in (frames.told, frames.copied):
        one, two, shape = frames.truth.flatten(0, 1), told.flatten(0, 1), frames.truth.shape[:2]
        found += [squared_error(one, two).view(shape), structural_similarity(one, two).view(shape)]
    return found[0], found[1], found[2], found[3]


def scores_of(error: Tensor, similarity: Tensor, copied: Tensor, note: str) -> dict[str, ScoreValue]:
    """All scores, from squared errors and SSIM (N,F), and the squared errors of the copy (N,F)."""
    noise = peak_signal_to_noise(error)
    found = {
        "mse": _mean(error.mean(1), note),
        "psnr": _mean(noise.mean(1), note),
        "ssim": _mean(similarity.mean(1), note),
        "skill": _skill(error.mean(1), copied.mean(1), note),
    }
    for place in range(error.shape[1]):
        found[f"mse_{place + 1}"] = _mean(error[:, place])
        found[f"psnr_{place + 1}"] = _mean(noise[:, place])
        found[f"ssim_{place + 1}"] = _mean(similarity[:, place])
        found[f"skill_{place + 1}"] = _skill(error[:, place], copied[:, place])
    return found


def _mean(values: Tensor, note: str = "") -> ScoreValue:
    return ScoreValue(value=float(values.mean()), note=note, outcomes=values)


def _skill(error: Tensor, copied: Tensor, note: str = "") -> ScoreValue:
    """What each clip adds to the skill, whose mean it is: the copy's error less the method's, over the copy's mean."""
    scale = copied.mean().clamp_min(1e-12)  # of clips in which nothing moves
    gains = (copied - error) / scale
    return ScoreValue(value=float(gains.mean()), chance=0.0, note=note, outcomes=gains)


def show_strips(subject: Subject, name: str, frames: Told, how: str, place: int) -> None:
    """Three rows for each clip: the true frames, what is told, and the copy."""
    rows = torch.stack([frames.truth, frames.told, frames.copied], 1)  # (n,3,F,C,H,W)
    names = ["truth", "told", "copy"] * len(rows)
    caption = f"Test clips: {how}, true, as told, and copied from the last seen one; farther to the right"
    subject.show_images(
        name, rows.flatten(0, 2), rows.shape[2], caption,
        row_names=names, heading=f"Predicted frames: {how}", place=place,
    )  # fmt: skip


def show_film(subject: Subject, name: str, moving: Moving, place: int) -> None:
    """The same clips moving, one beside the other: the true ones above, as told below them, then with copies."""
    before, after = moving.before[:, -FARTHEST:], moving.after[:, :FARTHEST]
    frames = {"truth": moving.frames.truth, "told": moving.frames.told, "copy": moving.frames.copied, **moving.others}
    rows = [torch.cat([before, told, after], 1) for told in frames.values()]
    caption = f"Test clips: {moving.how}; lines between the clips turn dark with the first of them"
    caption += "; drawn: two of the futures that the method deems possible" * bool(moving.others)
    subject.show_film(
        f"{name}_film", torch.cat(rows), len(before), caption,
        row_names=tuple(frames), seen=before.shape[1], frames_per_second=subject.spec.inputs.rate,
        heading=f"Films: {moving.how}", place=place,
    )  # fmt: skip


def show_by_distance(
    subject: Subject,
    name: str,
    how: str,
    errors: tuple[Tensor, Tensor],
    similarities: tuple[Tensor, Tensor],
    place: int,
) -> None:
    """PSNR and SSIM by distance, the method's and the copy's: (N,F) each."""
    places = [float(place + 1) for place in range(errors[0].shape[1])]
    both = {"psnr": [peak_signal_to_noise(error) for error in errors], "ssim": list(similarities)}
    for score, label in (("psnr", "PSNR in dB"), ("ssim", "SSIM")):
        told, copied = (values.mean(0).tolist() for values in both[score])
        caption = f"{label} by how many frames a told one is from the nearest seen one; quiet: the copy"
        subject.show_curves(
            f"{name}_{score}", places, {"told": told}, caption, levels={"copy": copied},
            x_label="frames from the nearest seen one", y_label=label,
            heading=f"{label}: {how}", place=place,
        )  # fmt: skip


def spread(clips: Column, count: int) -> Tensor:
    """At most `count` clips, evenly spread over all of them: the same ones for every method and seed."""
    return clips.take(torch.linspace(0, len(clips) - 1, min(count, len(clips))).round().long())


def frame_scores(asks: str) -> Iterator[ScoreSpec]:
    """The scores of `judged`, of which the skill ranks methods and answers the question `asks`."""
    kinds = (
        ("mse", "squared pixel value", "lower", 0.0, 1.0, "Mean squared error per value of the frames"),
        ("psnr", "dB", "higher", 0.0, 100.0, "Peak signal-to-noise ratio of each frame, averaged, of those"),
        ("ssim", "similarity", "higher", -1.0, 1.0, "Structural similarity (Wang et al. 2004, eq. 13) of the frames"),
        (
            "skill",
            "fraction",
            "higher",
            None,
            1.0,
            "1 - mse / mse of copying the last seen frame: 0 is copying; of those",
        ),
    )
    for place in range(FARTHEST + 1):
        for name, unit, better, low, high, help in kinds:
            where = f"{place} from the nearest seen one" if place else "at all distances"
            yield ScoreSpec(
                name=f"{name}_{place}" if place else name,
                unit=unit,
                better=better,  # type: ignore[arg-type]
                low=low,
                high=high,
                primary=name == "skill" and not place,
                asks=asks if name == "skill" and not place else "",
                help=f"{help} {where}.",
            )
