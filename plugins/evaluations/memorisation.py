"""Memorisation: are samples nearer to the training images than images that were held out?

Each sample's nearest training image is compared with that of held-out test images of the source: samples that come
from the same distribution and know nothing of single training images are as far from them as test images are.

copies = the share of samples whose distance from the nearest training image is within the 1st percentile of that of
test images. nearest_ratio = the median distance of samples over that of test images. authenticity_gap = the share of
samples that are farther from their nearest training image than that one is from any other (Alaa et al. 2022, section
4), minus the same share of test images; alone that share says little, it is 0.6 to 0.8 for perfect samples.

Distances are between pixels, averaged down to at most 16 a side, or between features of `fid`'s extractor. On
Fashion-MNIST pixels find all copies with noise of deviation 0.05, features 1 % of them; copies dimmed by a fifth are
found rarely by either, mirrored or shifted ones by none. Blurred images are nearer to everything: a nearest_ratio or an
authenticity_gap that is low without copies proves nothing. Images unlike any other copy nothing, so read this beside
the distances of `fid`.

N images, M training images, C channels, H=W pixels, F features or pixel values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.data.columns import Column, blocks
from harness.data.images import to_float
from harness.judging.feature_spaces import extractor_named
from harness.metrics.features import drawn_rows
from harness.metrics.neighbours import nearest
from harness.plugin import EvaluationSpec, NotApplicable, ScoreSpec, ScoreValue, Subject, TrainingFailed, hookimpl

SIDE = 16  # pixels of a side, at most, in the pixel space
PART = 4096  # images averaged down at once; a multiple of what an extractor takes
NEAR = 0.01  # the share of test images that are as near to a training image as what counts as a copy
SHOWN = 10  # samples in the picture

Space = Callable[[Tensor], Tensor]  # uint8 (N,C,H,W) -> (N,F)


@dataclass(frozen=True, kw_only=True)
class Config:
    n: int = 2000  # samples and held-out images; fewer where the test split is smaller
    space: Literal["pixels", "features"] = "pixels"  # features: of fid's extractor

    def __post_init__(self) -> None:
        if self.n < 2:
            raise ValueError("n must be at least 2: a percentile needs images")


@dataclass(frozen=True, kw_only=True)
class Nearness:
    """Where images lie between the training images: the distance from the nearest one, and its row."""

    distances: Tensor  # (N,) float64
    rows: Tensor  # (N,)
    authentic: Tensor  # (N,) bool: farther from it than that training image is from any other


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    if subject.target.name != subject.source.name:
        raise NotApplicable(f"samples can only copy their source: judge memorisation on {subject.source.name}")
    train, test = subject.learned_from.inputs, subject.source.test.inputs
    n = min(config.n, len(test))
    held_out = test.take(drawn_rows(len(test), n, subject.generator("memorisation test images")))
    samples = subject.sampled(n).images
    name, space = _space(subject, config)
    bank = torch.cat([space(part) for part in blocks(train, PART)])
    near, usual = nearness(space(samples), bank), nearness(space(held_out), bank)
    if not torch.isfinite(near.distances).all():
        raise TrainingFailed(f"samples are at no finite distance from training images in {name}")
    show(subject, samples, train, near)
    return compared(near, usual, name)


def _space(subject: Subject, config: Config) -> tuple[str, Space]:
    """Where to look for neighbours, as a name and as a map."""
    if config.space == "pixels":
        return "pixels", pixels(subject.device)
    extractor = extractor_named("in-domain", subject)
    return str(extractor), lambda images: extractor(images).float().to(subject.device)


def pixels(device: torch.device) -> Space:
    """Pixel values in [0,1], averaged over squares so that at most 16 are left on a side."""

    def space(images: Tensor) -> Tensor:
        side = images.shape[-1]
        side = ceil(side / ceil(side / SIDE))
        parts = [F.adaptive_avg_pool2d(to_float(part.to(device)), side).flatten(1) for part in images.split(PART)]
        return torch.cat(parts)

    return space


def nearness(images: Tensor, bank: Tensor) -> Nearness:
    """Of images (N,F) among training images (M,F)."""
    distances, rows = nearest(images, bank)
    known, place = rows.unique(return_inverse=True)
    apart, _ = nearest(bank[known], bank, skip=known)  # of each training image from the nearest other one
    return Nearness(distances=distances.cpu(), rows=rows.cpu(), authentic=(distances > apart[place]).cpu())


def compared(near: Nearness, usual: Nearness, space: str) -> dict[str, ScoreValue]:
    """The three scores of samples against held-out images."""
    threshold = usual.distances.quantile(NEAR, interpolation="lower")
    copies, chance = (float((each.distances <= threshold).double().mean()) for each in (near, usual))
    median, normal = float(near.distances.median()), float(usual.distances.median())
    share, expected = (float(each.authentic.double().mean()) for each in (near, usual))
    n = len(near.distances)
    medians = f"{space}; median distance of samples {median:.3g}, of test images {normal:.3g}"
    shares = f"{space}; samples {share:.3f}, test images {expected:.3f}"
    values = {
        "copies": ScoreValue(value=copies, n=n, chance=chance, note=f"{space}; within {float(threshold):.3g}"),
        "authenticity_gap": ScoreValue(value=share - expected, n=n, note=shares),
    }
    if normal > 0:  # else half of the test images are training images, and there is nothing to divide by
        values["nearest_ratio"] = ScoreValue(value=median / normal, n=n, note=medians)
    return values


def show(subject: Subject, samples: Tensor, train: Column, near: Nearness) -> None:
    """Two rows: the samples that are nearest to a training image, and below each that training image."""
    first = near.distances.argsort(stable=True)[:SHOWN]
    both = torch.cat([samples[first], train.take(near.rows[first])])
    caption = "The samples that are nearest to a training image above, those training images below"
    heading = "Samples and the training images nearest to them"
    subject.show_images("nearest_training", to_float(both), len(first), caption, heading=heading, place=140)


SCORES = (
    ScoreSpec(
        name="copies",
        unit="fraction",
        better="lower",
        low=0.0,
        high=1.0,
        primary=True,
        help="Share of samples as near to a training image as the nearest 1 % of test images; chance: 0.01.",
    ),
    ScoreSpec(
        name="nearest_ratio",
        unit="ratio",
        better="none",
        low=0.0,
        help="Median distance from the nearest training image, of samples over that of test images.",
    ),
    ScoreSpec(
        name="authenticity_gap",
        unit="difference of fractions",
        better="none",
        low=-1.0,
        high=1.0,
        help="Share of authentic samples (Alaa et al. 2022) minus that of test images; far below 0: memorised.",
    ),
)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="memorisation",
        run=run,
        scores=SCORES,
        needs=("sample",),
        config=Config,
        source="authenticity: Alaa et al. 2022, arXiv:2102.08921; against held-out images: Meehan et al. 2020, "
        "arXiv:2004.05675",
    )
