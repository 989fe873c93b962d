"""`--seeds auto`: when it is looked whether the differences are decided, and at which level of the test.

It starts with 3 seeds, fewer say nothing of seeds, and adds 2 at a time up to the limit. Each look spends a part of the
test's error, see harness.metrics.spending; all looks together err as often as one test would.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from harness.errors import RequestError
from harness.records import Request

FIRST, STEP, LIMIT = 3, 2, 11  # seeds


@dataclass(frozen=True, kw_only=True)
class Look:
    """One look at all asked differences."""

    seeds: int
    alpha: float  # the level at which each was tested
    open: tuple[str, ...] = ()  # what was not decided: "vae against random-init"

    def __post_init__(self) -> None:
        if self.seeds < 1 or not 1e-15 < self.alpha < 1:
            raise ValueError(
                f"a look is at one seed or more and at a level in (0,1), not {self.seeds} and {self.alpha}"
            )


@dataclass(frozen=True, kw_only=True)
class Looks:
    """The looks that were taken so far, of those that were planned."""

    limit: int  # seeds
    taken: tuple[Look, ...] = field(default=())

    @property
    def alpha(self) -> float:
        """The level of the last look."""
        return self.taken[-1].alpha

    @property
    def text(self) -> str:
        """What a reader must know of it."""
        counts = [str(look.seeds) for look in self.taken]
        seeds = counts[0] if len(counts) == 1 else f"{', '.join(counts[:-1])} and {counts[-1]}"
        ended = f"still open at {self.taken[-1].seeds}: {'; '.join(self.taken[-1].open)}"
        ended = ended if self.taken[-1].open else "by then all that was asked was decided"
        levels = ", ".join(f"{look.alpha:.2g}" for look in self.taken)
        s = "s" if len(counts) > 1 else ""
        sure, times = f"{100 * (1 - self.alpha):.3g} %", f"{0.05 / self.alpha:.3g}"
        return (
            f"Seeds were added until the differences were decided, up to {self.limit}: {len(counts)} look{s}, with "
            f"{seeds} seeds, tested at the level{s} {levels}; {ended}. All looks together err in at most 5 %: "
            f"intervals of differences are {sure} ones, and p is multiplied by {times}, so that below 0.05 is "
            "below the level of the last look. Intervals of means are 95 % ones of this look: differences decided "
            "when to stop, and that leaves means at 94 to 96 %."
        )


def limited(limit: int) -> dict[str, Any]:
    """The words of a Request that `auto:limit` stands for: all seeds that there may be."""
    return {"seeds": tuple(range(limit)), "most_seeds": limit}


def limit_of(request: Request) -> int:
    """The most seeds that a request may take, 0 where it says which. Parts must agree."""
    limits = sorted({one.most_seeds for one in (request.parts or (request,))} - {0})
    if len(limits) > 1:
        raise RequestError(
            f"parts end at {' and '.join(map(str, limits))} seeds: write one 'seeds = \"auto:N\"' for all"
        )
    return limits[0] if limits else 0


def planned_looks(limit: int) -> Iterator[Look]:
    """All looks up to a limit of seeds.

    >>> [(look.seeds, round(look.alpha, 4)) for look in planned_looks(6)]
    [(3, 0.0125), (5, 0.0222), (6, 0.0153)]
    """
    from harness.metrics.spending import levels

    counts = [*range(FIRST, limit, STEP), limit]
    for seeds, alpha in zip(counts, levels(counts), strict=True):
        yield Look(seeds=seeds, alpha=alpha)


def at(request: Request, seeds: int) -> Request:
    """The request with so many seeds wherever it leaves open how many."""
    parts = tuple(at(part, seeds) for part in request.parts)
    return replace(request, parts=parts, seeds=tuple(range(seeds)) if request.most_seeds else request.seeds)


def strictest(several: Iterable[Looks | None]) -> Looks | None:
    """Of several runs that are reported together, the looks whose last level is the lowest."""
    return min((looks for looks in several if looks and looks.taken), key=lambda looks: looks.alpha, default=None)
