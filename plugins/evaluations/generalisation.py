"""Generalisation: how well a classifier does on the images that it learned from, and on those that it did not.

gap = accuracy on training images - accuracy on test images, of the method's own predictions in eval mode. What dropout
and normalisation are for is a smaller gap at no lower test accuracy. On a target with other classes than the source the
plan skips it: the predictions are of the source's classes.

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from harness.metrics.classification import accuracy, majority_share, negative_log_likelihood
from harness.metrics.features import drawn_rows
from harness.plugin import ANY, EvaluationSpec, ScoreSpec, ScoreValue, SplitName, Subject, TrainingFailed, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    train_limit: int = 10_000  # training images judged at most, drawn with every class's share kept

    def __post_init__(self) -> None:
        if self.train_limit < 1:
            raise ValueError("train_limit must be at least 1")


def run(subject: Subject, config: Config) -> Mapping[str, float | ScoreValue]:
    labels = subject.labels("train")
    rows = drawn_rows(len(labels), config.train_limit, subject.generator("generalisation rows"), labels)
    seen, seen_nll = _judged(subject, "train", rows)
    unseen, unseen_nll = _judged(subject, "test", torch.arange(len(subject.inputs("test"))))
    chance = majority_share(subject.labels("test"))
    return {
        "test_accuracy": ScoreValue(value=unseen, chance=chance),
        "train_accuracy": ScoreValue(value=seen, n=len(rows)),
        "accuracy_gap": seen - unseen,
        "nll_gap": unseen_nll - seen_nll,
    }


def _judged(subject: Subject, split: SplitName, rows: torch.Tensor) -> tuple[float, float]:
    """Accuracy, and nats per image, of the method's predictions for these rows."""
    logits = subject.batched(subject.method.predict, subject.inputs(split).rows(rows))  # (N,K)
    truth = subject.labels(split)[rows]
    if logits.shape[1] <= int(truth.max()):
        raise TrainingFailed(f"predict() knows {logits.shape[1]} classes, but {subject.target.name} has more")
    return accuracy(logits.argmax(1), truth), negative_log_likelihood(logits.softmax(1), truth)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="generalisation",
        run=run,
        takes=ANY,
        needs=("predict", "labels"),
        config=Config,
        source="the gap of e.g. Zhang et al. 2017, arXiv:1611.03530",
        scores=(
            ScoreSpec(
                name="test_accuracy",
                unit="fraction",
                better="higher",
                low=0.0,
                high=1.0,
                primary=True,
                help="test images that the method itself classifies right",
            ),
            ScoreSpec(
                name="train_accuracy",
                unit="fraction",
                better="none",
                low=0.0,
                high=1.0,
                help="the same of training images, as they are, not augmented",
            ),
            ScoreSpec(
                name="accuracy_gap",
                unit="difference of fractions",
                better="lower",
                low=-1.0,
                high=1.0,
                beside="test_accuracy",
                word="gap",
                help="accuracy on training images minus accuracy on test images",
            ),
            ScoreSpec(
                name="nll_gap",
                unit="nats",
                better="lower",
                help="mean -log p(label) of test images minus that of training images",
            ),
        ),
    )
