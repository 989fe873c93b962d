"""The class whose mean feature is nearest: a judge of a stranger's own, which leads the ranking.

N images, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from harness.data.images import to_float
from harness.plugin import EvaluationSpec, NoConfig, ScoreSpec, Subject, hookimpl


def run(subject: Subject, config: NoConfig) -> Mapping[str, float]:
    classes = range(len(subject.target.spec.classes))
    labels = subject.labels("train")
    means = torch.stack([subject.features("train")[labels == label].mean(0) for label in classes])  # (K,D)
    show(subject, means)
    return {
        "share_right": right(subject.features("test"), subject.labels("test"), means),
        "share_right_in_training": right(subject.features("train"), labels, means),
    }


def right(features: Tensor, labels: Tensor, means: Tensor) -> float:
    """Share of features (N,D) whose nearest mean of (K,D) is that of their label."""
    return float((torch.cdist(features, means).argmin(1) == labels).double().mean())


def show(subject: Subject, means: Tensor) -> None:
    images = to_float(subject.images("train"))
    labels = subject.labels("train")
    averages = torch.stack([images[labels == label].mean(0) for label in range(len(means))])  # (K,C,H,W)
    subject.show_images(
        "averages", averages, len(averages), "The mean image of each class", heading="An average day", place=5,
        shared=True,
    )  # fmt: skip
    subject.show_points("means", means[:, :2], None, "Two features of each mean")


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    first = ScoreSpec(
        name="share_right", unit="fraction", better="higher", low=0.0, high=1.0, primary=True, role="leads",
        proportion=True, help="test images whose nearest class mean is their own",
    )  # fmt: skip
    second = ScoreSpec(
        name="share_right_in_training", unit="fraction", better="none", low=0.0, high=1.0, beside="share_right",
        word="rehearsed", help="the same of training images",
    )  # fmt: skip
    return EvaluationSpec(
        name="class-means", run=run, scores=(first, second), needs=("encode", "labels"), source="own work"
    )
