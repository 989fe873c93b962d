"""kNN: do the nearest training images of a test image, by cosine of the frozen features, share its class?

The k nearest training images vote with weight exp(cosine / T) (Wu et al. 2018, arXiv:1805.01978, section 3.4), or
with equal weights (T = infinity). k and T are chosen by validation accuracy, ties by likelihood; test is used once.
`knn[k=1]` is the nearest neighbour of older papers, which chooses nothing.

N images in the bank, Q queries, D features, M neighbours kept, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from harness.data.fields import PLURALS
from harness.metrics.classification import accuracy, majority_share, most_accurate, negative_log_likelihood
from harness.metrics.features import drawn_rows, normalised
from harness.metrics.votes import nearest_by_cosine, votes
from harness.plugin import ANY, EvaluationSpec, ScoreSpec, ScoreValue, SplitName, Subject, hookimpl

NEIGHBOURS = (1, 5, 10, 20, 50, 100, 200)
TEMPERATURES = (0.03, 0.07, 0.1, 0.2, 0.5, math.inf)  # of the cosine; infinite: every neighbour has one vote


@dataclass(frozen=True, kw_only=True)
class Config:
    bank_limit: int = 60_000  # training images in the bank at most, drawn with every class's share kept
    k: int | None = None  # neighbours, with equal votes; none: chosen on validation, and their weights too

    def __post_init__(self) -> None:
        if self.bank_limit < 1 or (self.k is not None and self.k < 1):
            raise ValueError("bank_limit and k must be at least 1")


def choose(cosines: Tensor, neighbours: Tensor, labels: Tensor, classes: int) -> tuple[int, float]:
    """The (k, temperature) that classifies `labels` (Q,) best from their neighbours' cosines and labels (Q,M)."""
    ks = _bounded(cosines.shape[1])
    options, results = [], []
    for temperature in TEMPERATURES:
        for k, shares in zip(ks, votes(cosines, neighbours, classes, ks, temperature), strict=True):
            options.append((k, temperature))
            results.append((accuracy(shares.argmax(1), labels), negative_log_likelihood(shares, labels)))
    return options[most_accurate(results)]


def _bounded(bank: int) -> list[int]:
    """The ks that a bank of that size allows, rising."""
    return [k for k in NEIGHBOURS if k <= bank]


def run(subject: Subject, config: Config) -> Mapping[str, float | ScoreValue]:
    """Accuracy on the test split, with the bank from the training split."""
    train = subject.labels("train")
    rows = drawn_rows(len(train), config.bank_limit, subject.generator("knn rows"), train)
    bank = normalised(subject.features("train")[rows].to(subject.device))
    known = train[rows].to(subject.device)
    splits: tuple[SplitName, ...] = ("validation", "test") if config.k is None else ("test",)
    truth = {split: subject.labels(split) for split in splits}
    classes = 1 + int(max(labels.max() for labels in (train, *truth.values())))

    def neighbours(split: SplitName, k: int) -> tuple[Tensor, Tensor]:
        queries = normalised(subject.features(split).to(subject.device))
        cosines, found = nearest_by_cosine(queries, bank, k)
        return cosines.cpu(), known[found].cpu()

    if config.k is None:
        k, temperature = choose(*neighbours("validation", _bounded(len(bank))[-1]), truth["validation"], classes)
    else:
        k, temperature = min(config.k, len(bank)), math.inf
    (shares,) = votes(*neighbours("test", k), classes, [k], temperature)
    predicted = shares.argmax(1)
    weighting = "equal votes" if math.isinf(temperature) else f"T={temperature:g}"
    things = PLURALS[subject.target.spec.kind]
    limited = f", bank of {len(rows)} of {len(train)} training {things}" if len(rows) < len(train) else ""
    return {
        "accuracy": ScoreValue(
            value=accuracy(predicted, truth["test"]),
            outcomes=predicted == truth["test"],
            chance=majority_share(truth["test"]),
            note=f"k={k}, {weighting}{limited}",
        )
    }


SCORES = (
    ScoreSpec(
        name="accuracy",
        unit="fraction",
        better="higher",
        low=0.0,
        high=1.0,
        primary=True,
        asks="Neighbours share a class",
        role="follows",
        proportion=True,
        help="test images classified right by their nearest training images; chance: share of the most frequent class",
    ),
)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="knn",
        run=run,
        takes=ANY,
        scores=SCORES,
        needs=("encode", "labels"),
        fits_labels=True,
        config=Config,
        source="arXiv:1805.01978, section 3.4 (weighted kNN on cosine similarity)",
    )
