"""The online monitor: kNN accuracy on a slice of the validation split, along training. It is shown and chooses nothing.

The 20 nearest of at most 5,000 training examples, by cosine, vote with weight exp(cosine / 0.07) on at most 1,000
validation examples (Wu et al. 2018, arXiv:1805.01978, section 3.4). The evaluation `knn` chooses its k and T on
validation and reports test: this does neither, so that its numbers are comparable along a curve, not with those.

N examples in the bank, Q validation examples, D features, k neighbours, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from torch import Tensor

from harness.clock import Clock
from harness.data.columns import Column
from harness.data.rows import Dataset
from harness.errors import TrainingFailed
from harness.judging.observing import Encoder
from harness.metrics.features import drawn_rows, normalised
from harness.metrics.votes import nearest_by_cosine, votes
from harness.records import CurvePoint, SplitName
from harness.seeding import derived_generator

SCALAR = "kNN accuracy"
BANK, QUERIES = 5_000, 1_000  # examples at most
NEIGHBOURS, TEMPERATURE = 20, 0.07


class Monitor:
    """Its points, the first before training: `look(clock)` adds one. Where there can be none, `note` says why.

    learned: does the method learn from the validation rows? Then there are none.
    """

    def __init__(
        self,
        encoder: Encoder,
        source: Dataset,
        *,
        seed: int,
        news: Callable[[float, dict[str, float]], None],
        learned: bool = False,
    ) -> None:
        self.encoder = encoder
        self.news = news  # gets the fraction of the budget spent, and the number
        self.points: list[CurvePoint] = []
        self.note = "" if source.train.labels is not None else f"not monitored: {source.name} has no labels"
        if learned:
            self.note = "not monitored: it learns from the validation rows too"
        self.bank = _slice(source, "train", BANK, seed)
        self.queries = _slice(source, "validation", QUERIES, seed)

    def look(self, clock: Clock) -> None:
        """Measure the accuracy now, and keep it as a point."""
        if self.note:
            return
        try:
            found = self.accuracy()
        except TrainingFailed as reason:  # said again, as the failure that it is, by what judges the representation
            self.note = f"not monitored: {reason}"
            return
        self.points.append(CurvePoint(examples=clock.examples, seconds=clock.seconds, scalars={SCALAR: found}))
        self.news(clock.done, {SCALAR: found})

    def state(self) -> dict[str, Any]:
        """Its points, and why there are no more: what `restore` takes."""
        return {"points": [asdict(point) for point in self.points], "note": self.note}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on after the points of another monitor of the same training."""
        self.points[:] = [CurvePoint(**point) for point in state["points"]]
        self.note = state["note"]

    def accuracy(self) -> float:
        """The fraction of the validation examples whose class wins the vote."""
        (bank, known), (queries, truth) = self.bank, self.queries
        assert known is not None
        assert truth is not None
        features = normalised(self.encoder.features(bank))  # (N,D)
        k = min(NEIGHBOURS, len(features))
        cosines, rows = nearest_by_cosine(normalised(self.encoder.features(queries)), features, k)  # (Q,k)
        labels = known.to(rows.device)[rows]  # (Q,k)
        (shares,) = votes(cosines, labels, 1 + int(known.max()), [k], TEMPERATURE)  # (Q,K)
        return float((shares.argmax(1).cpu() == truth.cpu()).double().mean())


def _slice(source: Dataset, split: SplitName, limit: int, seed: int) -> tuple[Column, Tensor | None]:
    """At most so many rows of a split, every class with its share: their inputs and their labels (N,)."""
    rows = source.split(split)
    chosen = rows.rows(drawn_rows(len(rows), limit, derived_generator(seed, "monitor", split), rows.labels))
    return chosen.inputs, chosen.labels
