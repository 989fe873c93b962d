"""What a difference says: it differs, no difference was found (of such a size), or one cannot tell (without more)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from harness.metrics.crossed import detectable, enough_seeds
from harness.metrics.statistics import Difference
from harness.report.numbers import ALPHA, KEPT, Written, probability, size

Word = Literal["differs", "no difference found", "cannot tell"]


@dataclass(frozen=True)
class Verdict:
    word: Word
    why: str  # "p < 0.001"; "0.02 or more would have been"; "about 9 seeds would settle it"
    brief: str  # the same for a narrow column

    def __str__(self) -> str:
        return self.why if self.word == "differs" else f"{self.word}: {self.why}"


@lru_cache(4096)
def verdict(found: Difference, p: float | None, unit: Written = "") -> Verdict | None:
    """What the test of a difference said, by its corrected p; None for one that was not tested.

    Where p decides nothing, the design does, at the level that the correction left: if no number of seeds would find a
    difference as large as the one that was seen, none was found, and it is said how large it would have to be; else
    more seeds would settle it.
    """
    if found.p is None:
        reason = found.note.partition(":")[0] or "no test"
        return Verdict("cannot tell", reason, reason)
    if p is None:
        return None
    if p < ALPHA:
        return Verdict("differs", probability(p), probability(p))
    level = 1 - found.alpha * found.p / p  # what a p that is corrected like this one has to reach
    enough = enough_seeds(found, level=level)
    if enough is None:
        least = size(detectable(found, level=level), unit)
        return Verdict("no difference found", f"{least} or more would have been", f"none{KEPT}≥{KEPT}{least}")
    seeds = max(enough, found.n + 1)
    return Verdict("cannot tell", f"about {seeds}{KEPT}seeds would settle it", f"~{seeds}{KEPT}seeds")
