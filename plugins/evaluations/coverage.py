"""Precision, recall, density and coverage: do samples look like test images, and do they look like all of them?

Around each image of a set lies a closed ball in the feature space of an extractor, out to its k-th nearest other image
of the set. precision = the share of samples inside any ball of a test image, recall = the share of test images inside
any ball of a sample (Kynkäänniemi et al. 2019), density = balls of test images around a sample, on average, over k,
coverage = the share of test images with a sample in their ball (Naeem et al. 2020, equations 3 and 4).

Perfect samples do not reach 1 (coverage at k=5: 0.97), so beside each score stands what as many real training images
get in the role of the samples. Density may exceed 1: samples that crowd where test images are dense. The balls are
closed, so that equal images count as near; with open ones a set of constant features would not be like itself. The
extractor is the one of `fid`: a classifier of the target's classes, or without labels an encoder of its images.

N images on each side, C channels, H=W pixels, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from harness.judging.feature_spaces import extractor_named, files_of
from harness.metrics.features import drawn_rows
from harness.metrics.neighbours import balls_hit, squared_radii
from harness.plugin import EvaluationSpec, NotApplicable, ScoreSpec, ScoreValue, Subject, TrainingFailed, hookimpl

NAMES = ("coverage", "density", "precision", "recall")


@dataclass(frozen=True, kw_only=True)
class Config:
    n: int = 2000  # images on each side; fewer where the training or the test split is smaller
    k: int = 5  # nearest neighbours that a ball reaches out to
    extractor: Literal["in-domain", "label-free", "inception"] = "in-domain"  # in-domain without labels: label-free

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError("k must be at least 1")
        if self.n <= self.k:
            raise ValueError("n must exceed k: a ball reaches out to the k-th nearest other image")


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    n = min(config.n, len(subject.inputs("train")), len(subject.inputs("test")))
    if n <= config.k:
        raise NotApplicable(f"{n} images have no {config.k}-th nearest other image: set a smaller k (coverage[k=1])")
    extractor = extractor_named(config.extractor, subject)
    samples = extractor(subject.sampled(n).images)  # (N,F)
    if not torch.isfinite(samples).all():
        raise TrainingFailed(f"the features of the samples are not finite in {extractor}")
    test = extractor(_drawn(subject, "test", n))
    found = manifold_scores(samples, test, config.k)
    best = manifold_scores(extractor(_drawn(subject, "train", n)), test, config.k)
    values = {}
    for name in NAMES:
        relative = f", {found[name] / best[name]:.3g} of that" if best[name] else ""
        note = f"{extractor}; k={config.k}; real training images {best[name]:.3g}{relative}"
        values[name] = ScoreValue(value=found[name], n=n, note=note)
        values[f"real_{name}"] = ScoreValue(value=best[name], n=n, note=f"training images; k={config.k}")
    return values


def _drawn(subject: Subject, split: Literal["train", "test"], n: int) -> Tensor:
    """n images of a split (N,C,H,W): the same ones for every method of a seed."""
    images = subject.inputs(split)
    return images.take(drawn_rows(len(images), n, subject.generator(f"coverage {split} images")))


def manifold_scores(samples: Tensor, real: Tensor, k: int) -> dict[str, float]:
    """The four scores by name, for features (M,F) of samples and (N,F) of real images, both more than k."""
    centre = real.double().mean(0)
    samples, real = samples.double() - centre, real.double() - centre
    counts, covered, recalled = balls_hit(samples, real, squared_radii(samples, k), squared_radii(real, k))
    return {
        "coverage": float(covered.double().mean()),
        "density": float(counts.double().mean()) / k,
        "precision": float((counts > 0).double().mean()),
        "recall": float(recalled.double().mean()),
    }


MEANING = {
    "coverage": "test images with a sample as near as their k-th nearest other test image",
    "density": "test images whose k-th nearest other one is as far as a sample, on average over samples, divided by k",
    "precision": "samples as near to a test image as its k-th nearest other test image",
    "recall": "test images as near to a sample as its k-th nearest other sample",
}


def _score(name: str) -> ScoreSpec:
    share = name != "density"
    return ScoreSpec(
        name=name,
        unit="fraction" if share else "ratio",
        better="higher",
        low=0.0,
        high=1.0 if share else None,
        primary=name == "coverage",
        help=f"{'Share of ' if share else 'Number of '}{MEANING[name]}.",
    )


def _real_score(name: str) -> ScoreSpec:
    share = name != "density"
    return ScoreSpec(
        name=f"real_{name}",
        unit="fraction" if share else "ratio",
        better="none",
        low=0.0,
        high=1.0 if share else None,
        beside=name,
        word="real",
        help=f"The {name} of as many real training images: what perfect samples would get.",
    )


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="coverage",
        run=run,
        needs=("sample",),
        config=Config,
        files=lambda config: files_of(config.extractor),
        source="Kynkäänniemi et al. 2019, arXiv:1904.06991; Naeem et al. 2020, arXiv:2002.09797",
        scores=(*map(_score, NAMES), *map(_real_score, NAMES)),
    )
