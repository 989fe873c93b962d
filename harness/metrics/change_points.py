"""Where did a series of small measured changes add up to a large one? A scan over all stretches of it.

x_1 ... x_n are measured changes between neighbours (the log ratio of a candidate's time to its base's, one gate after
the other), each with its standard error s_i, and independent. Where nothing changed, each x_i is noise about 0. A
creep is a stretch whose changes have one sign; a jump is a stretch of one. The statistic of a stretch is

    Z(a, b) = (x_a + ... + x_b) / sqrt(s_a^2 + ... + s_b^2)

and that of the series the largest |Z| of all stretches, whose distribution where nothing changed is drawn (seeded, for
equal s). If it is beyond its critical value, the stretch is a drift, and what is before and after it is searched in the
same way: circular binary segmentation (Olshen, Venkatraman, Lucito & Wigler 2004, Biostatistics 5:557), with a mean of
0 that is known, since a base against itself has no change, and with standard errors that are known.

Differs from segmentations of the level of a series (PELT, E-divisive): the sum of measured changes is a random walk,
whose noise they take for changes; and a creep that is there from the first value on has no change of its mean to find.

How far the series has gone by now is a scan over the stretches that end with it. Units: those of the changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import inf, isnan, sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DRAWS = 2000  # a chance of 5 % is known to 0.5 points
SEED = 20041
LONGEST = 200  # changes that are searched: the last ones
FEWEST = 8  # changes whose spread says more of the noise than their standard errors do


@dataclass(frozen=True)
class Stretch:
    """Changes first to last (both in it, from 0), and their sum, with an interval that holds for all stretches."""

    first: int
    last: int
    total: float
    low: float
    high: float
    p: float  # corrected for all stretches that were looked at; 0 of what has no noise

    @property
    def length(self) -> int:
        """Gates that it spans."""
        return self.last - self.first + 1


def stretches(
    changes: Sequence[float] | Array, errors: Sequence[float] | Array, *, alarm: float = 0.05
) -> list[Stretch]:
    """The stretches that drifted, in their order.

    alarm: the chance that any is found where nothing changed. An error of 0 is of a change without noise. Raises
    ValueError where the two differ in length, or an error is negative or not finite.

    >>> found = stretches([0.0, 0.001, -0.001, 0.04, 0.0, 0.001], [0.002] * 6)
    >>> [(one.first, one.last, round(one.total, 3)) for one in found]
    [(3, 3, 0.04)]
    """
    x, s = _checked(changes, errors)
    skipped = max(0, len(x) - LONGEST)
    return sorted(_found(x[skipped:], s[skipped:], skipped, alarm), key=lambda one: one.first)


def until_now(
    changes: Sequence[float] | Array, errors: Sequence[float] | Array, *, alarm: float = 0.05
) -> list[Stretch]:
    """Every stretch that ends with the last change, the longest first, whether it drifted or not.

    Their intervals hold together with a chance of 1 - alarm.

    >>> whole, last = until_now([0.01, 0.02], [0.001, 0.001])
    >>> round(whole.total, 3), last.first, whole.low > 0
    (0.03, 1, True)
    """
    x, s = _checked(changes, errors)
    x, s, skipped = x[-LONGEST:], s[-LONGEST:], max(0, len(x) - LONGEST)
    if not len(x):
        return []
    totals, spreads = np.cumsum(x[::-1])[::-1], np.sqrt(np.cumsum(s[::-1] ** 2)[::-1])
    reached = _largest(len(x), ending=True)
    limit = _critical(reached, alarm)
    return [
        Stretch(at + skipped, len(x) - 1 + skipped, total, total - limit * spread, total + limit * spread,
                _p(reached, _z(total, spread)))
        for at, (total, spread) in enumerate(zip(totals.tolist(), spreads.tolist(), strict=True))
    ]  # fmt: skip


def noise(changes: Sequence[float] | Array, errors: Sequence[float] | Array) -> Array:
    """Standard errors as they must be at least, by the spread of the changes themselves: (n,).

    Intervals of one gate do not know what differs from day to day. The spread is that of the standardised differences
    of neighbours, by their median (a jump or a steady creep does not move it); errors are made larger by it, never
    smaller, from FEWEST changes with noise on. An error that is not known (nan) is the median of the others;
    without any, the spread, nan where there are too few changes for it.

    >>> noise([0.0, 0.1], [0.05, float("nan")]).tolist()
    [0.05, 0.05]
    """
    x, s = np.asarray(changes, dtype=np.float64), np.asarray(errors, dtype=np.float64).copy()
    known = s[~np.isnan(s) & (s > 0)]
    s[np.isnan(s)] = np.median(known) if len(known) else 1.0
    noisy = s > 0
    if noisy.sum() < FEWEST:
        return s if len(known) or not np.isnan(errors).any() else np.full_like(s, np.nan)
    spread = float(np.median(np.abs(np.diff(x[noisy] / s[noisy]))) / 0.6745 / sqrt(2))
    return s * (max(1.0, spread) if len(known) else spread)


def _checked(changes: Sequence[float] | Array, errors: Sequence[float] | Array) -> tuple[Array, Array]:
    x, s = np.asarray(changes, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if x.shape != s.shape or x.ndim != 1:
        raise ValueError(f"each change has its standard error: {x.shape} changes, {s.shape} errors")
    if not (np.isfinite(x).all() and np.isfinite(s).all() and (s >= 0).all()):
        raise ValueError("changes and their standard errors are finite, and no error is negative")
    return x, s


def _found(x: Array, s: Array, offset: int, alarm: float) -> Iterator[Stretch]:
    """Of this part of the series, which begins at `offset`."""
    if not len(x):
        return
    first, last, z = _extreme(x, s)
    reached = _largest(len(x))
    limit = _critical(reached, alarm)
    if abs(z) <= limit:
        return
    total, spread = float(x[first : last + 1].sum()), float(np.sqrt((s[first : last + 1] ** 2).sum()))
    yield Stretch(
        first + offset, last + offset, total, total - limit * spread, total + limit * spread, _p(reached, abs(z))
    )
    yield from _found(x[:first], s[:first], offset, alarm)
    yield from _found(x[last + 1 :], s[last + 1 :], offset + last + 1, alarm)


def _extreme(x: Array, s: Array) -> tuple[int, int, float]:
    """First, last and Z of the stretch with the largest |Z|; of equal ones the shortest, then the earliest."""
    sums, squares = np.concatenate([[0.0], np.cumsum(x)]), np.concatenate([[0.0], np.cumsum(s**2)])
    best, tiny = (0, 0, 0.0), 1e-12 * float(np.abs(x).sum())  # what rounding leaves of changes that cancel out
    for length in range(1, len(x) + 1):
        total, variance = sums[length:] - sums[:-length], squares[length:] - squares[:-length]
        if length == 1:  # to the last bit: no noise is 0
            total, variance = x, s**2
        z = np.zeros(len(total))
        np.divide(total, np.sqrt(variance), out=z, where=variance > 0)
        z[(variance <= 0) & (np.abs(total) > tiny)] = inf
        at = int(np.argmax(np.abs(z)))
        if abs(z[at]) > abs(best[2]):
            best = (at, at + length - 1, float(z[at]))
    return best


@cache
def _largest(n: int, ending: bool = False) -> Array:
    """The largest |Z| of n changes of pure noise, sorted: (DRAWS,). ending: of stretches that end with the last one."""
    drawn = np.random.default_rng([SEED, n]).standard_normal((DRAWS, n))
    sums = np.concatenate([np.zeros((DRAWS, 1)), np.cumsum(drawn, axis=1)], axis=1)
    largest = np.zeros(DRAWS)
    for length in range(1, n + 1):
        total = sums[:, length:] - sums[:, :-length]
        total = total[:, -1:] if ending else total
        np.maximum(largest, np.abs(total).max(axis=1) / sqrt(length), out=largest)
    return np.sort(largest)


def _critical(reached: Array, alarm: float) -> float:
    if not 0 < alarm < 1:
        raise ValueError(f"alarm is a chance between 0 and 1, not {alarm}")
    return float(np.quantile(reached, 1 - alarm))


def _p(reached: Array, z: float) -> float:
    """The share of draws that reach z; 0 of what is certain."""
    if isnan(z) or z == inf:
        return 0.0
    return float((1 + len(reached) - np.searchsorted(reached, z)) / (1 + len(reached)))


def _z(total: float, spread: float) -> float:
    return abs(total) / spread if spread else (inf if total else 0.0)
