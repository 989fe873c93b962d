"""Is what two runs gave identical, to the last bit? Then nothing needs to be tested, at one seed too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.examples import Outcomes
from harness.gate import pairing
from harness.gate.findings import Place
from harness.gate.margins import Margins
from harness.gate.pairing import Row, Unit
from harness.gate.questions import Sample
from harness.gate.sides import Side

LOSS = "loss"  # the score of training that two trainings hardly share by chance


@dataclass(frozen=True)
class Identity:
    """Compares units of two sides bit by bit."""

    sides: tuple[Side, Side]
    losses: tuple[Mapping[Place, Mapping[int, float]], ...]  # of training, by cell and seed; one mapping for each side
    margins: Margins

    def of(self, base: Unit, candidate: Unit, seeds: Sequence[int]) -> bool:
        """Is all that an evaluation gave equal, at every one of these seeds?

        By what each test example got where that was kept. Else by all of its scores, and since a coarse one may agree
        by chance, by the loss of training too where there is one. Times are left aside.
        """
        if base.scores.keys() != candidate.scores.keys():
            return False
        judged = [score for score, rows in base.scores.items() if not self._timed(rows)]
        kept = [self._kept(base.scores[score], candidate.scores[score], seeds) for score in judged]
        if not judged or not all(_equal(base.scores[score], candidate.scores[score], seeds) for score in judged):
            return False
        if not all(np.array_equal(one, other) for pairs in kept for one, other in pairs):
            return False
        return any(kept) or self._trained_alike(base, candidate, seeds)

    def _timed(self, rows: Mapping[int, Row]) -> bool:
        return self.margins.of(next(iter(rows.values()))).kind == "paired-time"

    def _kept(
        self, base: Mapping[int, Row], candidate: Mapping[int, Row], seeds: Sequence[int]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """What test examples got, of the seeds where both sides kept it."""
        first, second = (sample(side, rows) for side, rows in zip(self.sides, (base, candidate), strict=True))
        both = [seed for seed in seeds if seed in first.kept and seed in second.kept]
        return [(_whole(first.kept[seed]), _whole(second.kept[seed])) for seed in both]

    def _trained_alike(self, base: Unit, candidate: Unit, seeds: Sequence[int]) -> bool:
        first, second = (
            of.get(pairing.cell_of(unit.place), {}) for of, unit in zip(self.losses, (base, candidate), strict=True)
        )
        return all(first.get(seed) == second.get(seed) for seed in seeds)


def sample(side: Side, rows: Mapping[int, Row]) -> Sample:
    """The values of a score by seed, with what each test example got where that was kept."""
    kept = {seed: side.examples.of(row["run"], row["examples"], row["score"]) for seed, row in rows.items()}
    found = {seed: outcomes for seed, outcomes in kept.items() if outcomes is not None}
    return Sample({seed: row["value"] for seed, row in rows.items()}, found)


def losses_of(several: Iterable[Unit]) -> dict[Place, dict[int, float]]:
    """The losses of training by seed, of each cell."""
    found = {}
    for unit in several:
        if pairing.is_training(unit.place) and LOSS in unit.scores:
            found[pairing.cell_of(unit.place)] = {seed: row["value"] for seed, row in unit.scores[LOSS].items()}
    return found


def _equal(base: Mapping[int, Row], candidate: Mapping[int, Row], seeds: Sequence[int]) -> bool:
    nothing: Row = {"value": None}
    return all(base.get(seed, nothing)["value"] == candidate.get(seed, nothing)["value"] for seed in seeds)


def _whole(outcomes: Outcomes) -> np.ndarray:
    """Values with the rows that they are of: (2,N)."""
    return np.stack([outcomes.index().astype(np.float64), outcomes.values])
