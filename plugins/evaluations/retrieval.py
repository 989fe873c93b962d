"""Retrieval: does a test image, as a query, find those of its class in the training split, by cosine of the features?

map        mean average precision over the whole ranking of the bank (Manning et al. 2008, section 8.4)
map_at_r   MAP@R of Musgrave et al. 2020, arXiv:2003.08505, section 3.2: over the first R ranks, R being the number of
           images of the query's class in the bank
recall_k   queries with an image of their class among the first k, k = 1, 5, 10 (the metric-learning sense of the word)

Nothing is fitted and nothing chosen. Chance is the expected value for a random ranking. Unlike kNN, it asks whether all
of a class lie together, not whether the nearest are of it.

Q queries, N images in the bank, D features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from harness.data.fields import PLURALS
from harness.metrics.features import drawn_rows, normalised
from harness.metrics.retrieval import chance_of_average_precision, chance_of_recall, retrieve
from harness.plugin import ANY, EvaluationSpec, ScoreSpec, ScoreValue, Subject, hookimpl

RANKS = (1, 5, 10)


@dataclass(frozen=True, kw_only=True)
class Config:
    bank_limit: int = 20_000  # training images in the bank at most, drawn with every class's share kept

    def __post_init__(self) -> None:
        if self.bank_limit < 1:
            raise ValueError("bank_limit must be at least 1")


def run(subject: Subject, config: Config) -> Mapping[str, float | ScoreValue]:
    """Scores of all test images as queries."""
    train, wanted = subject.labels("train"), subject.labels("test")
    rows = drawn_rows(len(train), config.bank_limit, subject.generator("retrieval rows"), train)
    found = retrieve(
        normalised(subject.features("test").to(subject.device)),
        wanted.to(subject.device),
        normalised(subject.features("train")[rows].to(subject.device)),
        train[rows].to(subject.device),
        RANKS,
    )
    things = PLURALS[subject.target.spec.kind]
    limited = f" of {len(train)}" if len(rows) < len(train) else ""
    note = f"bank of {len(rows)}{limited} training {things}"
    guessed = chance_of_average_precision(found.relevant, len(rows))
    scores = {
        "map": _mean(found.average_precision, float(guessed.mean()), note),
        "map_at_r": _mean(found.map_at_r, None, note),
    }
    for k in RANKS:
        scores[f"recall_{k}"] = _mean(
            found.recall[k], float(chance_of_recall(found.relevant, len(rows), k).mean()), note
        )
    return scores


def _mean(each: Tensor, chance: float | None, note: str) -> ScoreValue:
    """The score of all queries (Q,), one each."""
    return ScoreValue(value=float(each.mean()), chance=chance, note=note, outcomes=each)


SCORES = (
    ScoreSpec(
        name="map",
        unit="fraction",
        better="higher",
        low=0.0,
        high=1.0,
        primary=True,
        asks="Finds its like",
        help="mean average precision of the whole ranking; chance: a random ranking",
    ),
    ScoreSpec(
        name="map_at_r",
        unit="fraction",
        better="higher",
        low=0.0,
        high=1.0,
        beside="map",
        word="MAP@R",
        help="the same over the first R ranks, R images of the class being in the bank (arXiv:2003.08505)",
    ),
    *(
        ScoreSpec(
            name=f"recall_{k}",
            unit="fraction",
            better="higher",
            low=0.0,
            high=1.0,
            proportion=True,
            help=f"queries with an image of their class among the first {k}",
        )
        for k in RANKS
    ),
)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="retrieval",
        run=run,
        takes=ANY,
        scores=SCORES,
        needs=("encode", "labels"),
        config=Config,
        on_request=True,
        source="arXiv:2003.08505, section 3 (MAP@R, recall@k)",
    )
