"""Out of distribution: do the frozen features tell the target's test images from those of another dataset?

Three scores of novelty, each fitted to the features of the target's training split alone:

knn                   distance on the unit sphere from the k-th nearest training feature. Sun et al. 2022,
                      arXiv:2204.06507, section 3; k = 50 as there for CIFAR-10. It is the primary one, by decree: none
                      is chosen by its result.
mahalanobis           min_c (z - m_c)' S^-1 (z - m_c) with the classes' means and their common covariance. Lee et al.
                      2018, arXiv:1807.03888, eq. 2, on one layer. Without labels, one class.
relative_mahalanobis  the same minus the distance from all of training as one class. Ren et al. 2021,
                      arXiv:2106.09022, eq. 3

auroc                 probability that an image of the other dataset is more novel than one of the target, ties by half
fpr95                 share of the other dataset's that pass for the target's, where 95 % of the target's do pass

Differs from the papers: features are standardised and both covariances shrunk by Ledoit and Wolf's rule for the one
within classes, since there may be fewer images than features squared; no layer and no input noise is tuned. The other
dataset is read at the source's size and number of channels, as any target is: how it was resized may be a part of what
tells it, and the note says so.

N images, D features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data.fields import PLURALS
from harness.data.rows import Dataset
from harness.metrics.features import drawn_rows, standardised
from harness.metrics.novelty import false_alarms_at, gaussians_of, kth_distance, told_apart
from harness.plugin import ANY, EvaluationSpec, NotApplicable, ScoreSpec, ScoreValue, Subject, hookimpl

BY_NAME = {"knn": "", "mahalanobis": "_mahalanobis", "relative_mahalanobis": "_relative"}
THERE = ("digits", "shapes")  # datasets of images that need no files


@dataclass(frozen=True, kw_only=True)
class Config:
    other: str = "auto"  # the other dataset, as a request writes it; auto: digits, and for digits shapes
    neighbours: int = 50  # k, at most all of the bank
    train_limit: int = 60_000  # training images used at most, drawn with every class's share kept
    test_limit: int = 10_000  # test images of the other dataset at most

    def __post_init__(self) -> None:
        if min(self.neighbours, self.test_limit) < 1 or self.train_limit < 2:
            raise ValueError("neighbours and test_limit must be at least 1, train_limit at least 2")


def others(config: Config, target: str) -> tuple[str, ...]:
    """The dataset that the target is told from."""
    if config.other != "auto":
        return (config.other,)
    digits, shapes = THERE
    return (shapes if target.split("[")[0] == digits else digits,)


def run(subject: Subject, config: Config) -> Mapping[str, float | ScoreValue]:
    """AUROC and FPR95 of every score of novelty."""
    ((name, other),) = subject.others.items()
    rows = drawn_rows(len(other.test), config.test_limit, subject.generator("out-of-distribution test rows"))
    outside = subject.batched(subject.encode, other.test.inputs.rows(rows))
    if not torch.isfinite(outside).all():
        raise NotApplicable(f"the features of {name} are not finite")
    note = _note(subject, other, name, len(rows))
    scores: dict[str, ScoreValue] = {}
    for score, (ours, theirs) in novelties(subject, outside, config):
        each = told_apart(ours, theirs)  # (N,) of the target's test images
        scores[f"auroc{BY_NAME[score]}"] = ScoreValue(value=float(each.mean()), chance=0.5, note=note, outcomes=each)
        scores[f"fpr95{BY_NAME[score]}"] = ScoreValue(value=false_alarms_at(ours, theirs), chance=0.95, n=len(rows))
    return scores


def novelties(subject: Subject, outside: Tensor, config: Config) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Each score's name, and how novel the test features and those of the other dataset (M,D) are: (N,) and (M,)."""
    labels = subject.target.train.labels
    train = subject.features("train")
    rows = drawn_rows(len(train), config.train_limit, subject.generator("out-of-distribution rows"), labels)
    device = subject.device if subject.device.type == "cuda" else torch.device("cpu")  # MPS has no float64
    known, ours, theirs = (part.to(device) for part in (train[rows], subject.features("test"), outside))
    yield (
        "knn",
        (kth_distance(ours, known, config.neighbours).cpu(), kth_distance(theirs, known, config.neighbours).cpu()),
    )
    known, ours, theirs = standardised(known.double(), ours.double(), theirs.double())
    classes = torch.zeros(len(rows), dtype=torch.int64) if labels is None else labels[rows]
    fitted = gaussians_of(known, classes.to(device))
    yield "mahalanobis", (fitted.distance(ours).cpu(), fitted.distance(theirs).cpu())
    if labels is not None:
        yield "relative_mahalanobis", (fitted.relative_distance(ours).cpu(), fitted.relative_distance(theirs).cpu())


def _note(subject: Subject, other: Dataset, name: str, used: int) -> str:
    things = PLURALS[subject.target.spec.kind]
    limited = f" of {len(other.test)}" if used < len(other.test) else ""
    parts = [f"against {used}{limited} test {things} of {name}"]
    return "; ".join(parts + ([other.note] if other.note else []))


def _specs() -> Iterator[ScoreSpec]:
    for score, suffix in BY_NAME.items():
        by = f"by {score.replace('_', ' ')} distance"
        main = not suffix
        yield ScoreSpec(name=f"auroc{suffix}", unit="fraction", better="higher", low=0.0, high=1.0, primary=main,
                        asks="Notices what is foreign" if main else "",
                        beside="" if main else "auroc", word="" if main else score.split("_")[0],
                        help=f"area under the ROC curve of telling the other dataset {by}")  # fmt: skip
        yield ScoreSpec(name=f"fpr95{suffix}", unit="fraction", better="lower", low=0.0, high=1.0,
                        beside="auroc" if main else "", word="FPR95" if main else "",
                        help=f"other images that pass where 95 % of the target's do, {by}")  # fmt: skip


SCORES = tuple(_specs())


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="out-of-distribution",
        run=run,
        takes=ANY,
        scores=SCORES,
        config=Config,
        on_request=True,
        others=others,
        source="arXiv:2204.06507 (kNN), arXiv:1807.03888 and arXiv:2106.09022 (Mahalanobis)",
    )
