"""Out of distribution: do the frozen features tell what is the target's from what is foreign to it?

Foreign is what is near, unless another dataset is named: half of the target's own classes. Classes 0, 2, 4 ... are
known and 1, 3, 5 ... foreign, then the other way round, so that every test example is once among the known; scores are
means over the two. What is known is what novelty is fitted to: methods without labels have seen all classes while they
trained, `supervised` has seen them with labels. With `other=digits`, foreign are the test examples of another dataset.

Three scores of novelty, each fitted to the features of what is known of the target's training split alone:

knn                   distance on the unit sphere from the k-th nearest training feature. Sun et al. 2022,
                      arXiv:2204.06507, section 3; k = 50 as there for CIFAR-10. It is the primary one, by decree: none
                      is chosen by its result.
mahalanobis           min_c (z - m_c)' S^-1 (z - m_c) with the classes' means and their common covariance. Lee et al.
                      2018, arXiv:1807.03888, eq. 2, on one layer. Without labels, one class.
relative_mahalanobis  the same minus the distance from all of training as one class. Ren et al. 2021,
                      arXiv:2106.09022, eq. 3

auroc                 probability that a foreign example is more novel than a known one, ties by half
fpr95                 share of the foreign ones that pass for known, where 95 % of the known do pass

Differs from the papers: features are standardised and both covariances shrunk by Ledoit and Wolf's rule for the one
within classes, since there may be fewer images than features squared; no layer and no input noise is tuned. The other
dataset is read at the source's size and number of channels, as any target is: how it was resized may be a part of what
tells it, and the note says so.

Which pair tells methods apart? AUROC by kNN on digits of 8 pixels, 20,000 images of training, one seed (and on
Fashion-MNIST, for pixels, random-init and rotation, 0.824, 0.882 and 0.938 by its own classes; against digits 0.808,
0.768 and 0.892):

    foreign            pixels  pca    random-init  rotation  vae    supervised
    its own classes    0.903   0.960  0.842        0.772     0.945  0.999
    fashion-mnist      0.728   0.939  0.869        0.917     0.940  0.946
    shapes             1.000   1.000  1.000        1.000     1.000  0.999

N examples, D features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data.fields import PLURALS
from harness.data.rows import Dataset
from harness.metrics.features import drawn_rows, standardised
from harness.metrics.novelty import false_alarms_at, gaussians_of, kth_distance, told_apart
from harness.plugin import ANY, EvaluationSpec, NotApplicable, ScoreSpec, ScoreValue, Subject, hookimpl

BY_NAME = {"knn": "", "mahalanobis": "_mahalanobis", "relative_mahalanobis": "_relative"}
OWN = "classes"


@dataclass(frozen=True, kw_only=True)
class Config:
    other: str = OWN  # what is foreign: another dataset, as a request writes it; classes: half of the target's own
    neighbours: int = 50  # k, at most all of the bank
    train_limit: int = 60_000  # training examples used at most, drawn with every class's share kept
    test_limit: int = 10_000  # test examples of the other dataset at most

    def __post_init__(self) -> None:
        if min(self.neighbours, self.test_limit) < 1 or self.train_limit < 2:
            raise ValueError("neighbours and test_limit must be at least 1, train_limit at least 2")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What is known and what is foreign, as features and rows of the target's test split."""

    known: Tensor  # (N,D) of training
    labels: Tensor | None  # (N,) their classes
    ours: Tensor  # (n,D) of the target's test examples that are known
    rows: Tensor  # (n,) which these are
    theirs: Tensor  # (M,D) foreign


def others(config: Config, target: str) -> tuple[str, ...]:
    """The dataset that the target is told from, if it is one."""
    return () if config.other == OWN else (config.other,)


def run(subject: Subject, config: Config) -> Mapping[str, float | ScoreValue]:
    """AUROC and FPR95 of every score of novelty."""
    trials, note = _against_classes(subject, config) if config.other == OWN else _against_another(subject, config)
    each: dict[str, list[Tensor]] = {}
    passed: dict[str, list[float]] = {}
    for trial in trials:
        for score, (ours, theirs) in novelties(trial, config, subject.device):
            each.setdefault(score, []).append(told_apart(ours, theirs))  # (n,)
            passed.setdefault(score, []).append(false_alarms_at(ours, theirs))
    rows, foreign = torch.cat([trial.rows for trial in trials]), sum(len(trial.theirs) for trial in trials)
    scores: dict[str, ScoreValue] = {}
    for score, parts in each.items():
        told = torch.cat(parts)
        value = float(told.mean())
        scores[f"auroc{BY_NAME[score]}"] = ScoreValue(value=value, chance=0.5, note=note, outcomes=told, rows=rows)
        rate = sum(passed[score]) / len(trials)
        scores[f"fpr95{BY_NAME[score]}"] = ScoreValue(value=rate, chance=0.95, n=foreign)
    return scores


def _against_classes(subject: Subject, config: Config) -> tuple[Sequence[Trial], str]:
    """Each half of the target's classes in turn is foreign."""
    labels, name = subject.target.train.labels, subject.target.name
    shown = () if labels is None else labels.unique().tolist()
    if labels is None or len(shown) < 2:
        raise NotApplicable(
            f"{name} shows no two classes to hold one out: name another dataset, such as [other=digits]"
        )
    truth, test = subject.labels("test"), subject.features("test")
    trials: list[Trial] = []
    for half in (shown[::2], shown[1::2]):
        known = torch.isin(labels, torch.tensor(half)).nonzero().flatten()
        generator = subject.generator(f"out-of-distribution rows {len(trials)}")
        rows = known[drawn_rows(len(known), config.train_limit, generator, labels[known])]
        ours = torch.isin(truth, torch.tensor(half))
        if not 0 < int(ours.sum()) < len(truth):
            raise NotApplicable(f"the test split of {name} shows one half of its classes alone")
        trials.append(
            Trial(
                known=subject.features("train")[rows],
                labels=labels[rows],
                ours=test[ours],
                rows=ours.nonzero().flatten(),
                theirs=test[~ours],
            )
        )
    sizes = f"{len(shown[::2])} of {len(shown)} classes known, the others foreign"
    return trials, f"{sizes}; then the other way round" if len(shown) % 2 == 0 else f"{sizes}; then the others known"


def _against_another(subject: Subject, config: Config) -> tuple[Sequence[Trial], str]:
    """The test examples of another dataset are foreign."""
    ((name, other),) = subject.others.items()
    rows = drawn_rows(len(other.test), config.test_limit, subject.generator("out-of-distribution test rows"))
    outside = subject.batched(subject.encode, other.test.inputs.rows(rows))
    if not torch.isfinite(outside).all():
        raise NotApplicable(f"the features of {name} are not finite")
    labels, train, test = subject.target.train.labels, subject.features("train"), subject.features("test")
    drawn = drawn_rows(len(train), config.train_limit, subject.generator("out-of-distribution rows"), labels)
    trial = Trial(
        known=train[drawn],
        labels=None if labels is None else labels[drawn],
        ours=test,
        rows=torch.arange(len(test)),
        theirs=outside,
    )
    return [trial], _note(subject, other, name, len(rows))


def novelties(trial: Trial, config: Config, device: torch.device) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Each score's name, and how novel what is known (n,) and what is foreign (M,) are."""
    device = device if device.type == "cuda" else torch.device("cpu")  # MPS has no float64
    known, ours, theirs = (part.to(device) for part in (trial.known, trial.ours, trial.theirs))
    yield (
        "knn",
        (kth_distance(ours, known, config.neighbours).cpu(), kth_distance(theirs, known, config.neighbours).cpu()),
    )
    known, ours, theirs = standardised(known.double(), ours.double(), theirs.double())
    classes = torch.zeros(len(known), dtype=torch.int64) if trial.labels is None else trial.labels
    fitted = gaussians_of(known, classes.to(device))
    yield "mahalanobis", (fitted.distance(ours).cpu(), fitted.distance(theirs).cpu())
    if trial.labels is not None:
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
                        help=f"area under the ROC curve of telling what is foreign {by}")  # fmt: skip
        yield ScoreSpec(name=f"fpr95{suffix}", unit="fraction", better="lower", low=0.0, high=1.0,
                        beside="auroc" if main else "", word="FPR95" if main else "",
                        help=f"foreign examples that pass where 95 % of the known do, {by}")  # fmt: skip


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
