"""Few-shot accuracy: the class of a test image is that whose mean of a few labelled images is nearest.

Snell, Swersky and Zemel 2017, arXiv:1703.05175, on frozen features.
N images, D features, K classes, S labelled images of each class.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.plugin import EvaluationSpec, NotApplicable, ScoreSpec, ScoreValue, Subject, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    shots: int = 5  # S
    episodes: int = 20  # draws of the labelled images, which are averaged over


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    train, test = subject.features("train"), subject.features("test")  # (N,D)
    known, truth = subject.labels("train"), subject.labels("test")  # (N,)
    fewest = int(known.bincount().min())
    if fewest < config.shots:
        raise NotApplicable(f"a class has {fewest} training images: {config.shots} shots need more")
    generator = subject.generator("few-shot rows")
    right = [
        (nearest(test, means(train, known, config.shots, generator)) == truth).double().mean()
        for _ in range(config.episodes)
    ]
    value = float(torch.stack(right).mean())
    chance = float(truth.bincount().max()) / len(truth)
    return {"accuracy": ScoreValue(value=value, chance=chance, note=f"mean of {config.episodes} draws")}


def means(features: Tensor, labels: Tensor, shots: int, generator: torch.Generator) -> Tensor:
    """The mean of `shots` random rows of each class: (N,D), (N,) -> (K,D)."""
    order = torch.randperm(len(labels), generator=generator)
    rows = [order[labels[order] == label][:shots] for label in range(int(labels.max()) + 1)]
    return torch.stack([features[row].mean(0) for row in rows])


def nearest(features: Tensor, centres: Tensor) -> Tensor:
    """The row of the centres (K,D) that is nearest to each of the features (N,D): (N,)."""
    return torch.cdist(features, centres).argmin(1)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="few-shot-means",
        run=run,
        needs=("encode", "labels"),
        config=Config,
        source="arXiv:1703.05175",
        scores=(
            ScoreSpec(
                name="accuracy",
                unit="fraction",
                better="higher",
                low=0.0,
                high=1.0,
                primary=True,
                help="Test images whose class has the nearest mean; chance: share of the most frequent class.",
            ),
        ),
    )
