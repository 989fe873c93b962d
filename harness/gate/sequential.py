"""Is a candidate slower? A group-sequential rule on the log ratios of pairs of processes: pass, fail, or inconclusive.

One pair is two fresh processes, one of each version, whose timed blocks alternate; x is log(candidate / base) of their
block times. The unit of replication is the pair: layout, hash seed and allocator are drawn once per process. After
planned numbers of pairs (looks) the rule asks

    fail   "x is centred at 0 or below" is rejected, and the estimate exceeds log(1 + margin/2), and it does not pass
    pass   "x is centred at log(1 + margin) or above" is rejected: the candidate is not slower by the margin

both by Wilcoxon's signed-rank test, exact, in the form of Walsh averages (x_i + x_j)/2, i <= j, whose median is the
Hodges-Lehmann estimate and whose order statistics are the interval (Hollander, Wolfe & Chicken 2014, section 3.2 to
3.4). Ranks, since pairs have spikes: a mean is ruined by them. An unchanged candidate may be exchanged with its base
(their order is drawn), so x is symmetric about 0 and the test is exact whatever the noise.

The error of each side is spent over the looks (harness.metrics.spending), so looking often costs no promise: an
unchanged candidate fails with a chance of at most `alarm`, one that is slower by the margin passes with at most
`wrong_pass`. Where the time is over before the last look, what is left of both is spent there: how long a pair took
says nothing of the sign of its x. "No significant difference" is never a pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import ceil, exp, expm1, inf, isfinite, log, log1p, nan, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats as distributions

from harness.metrics.spending import levels, pocock

Array = NDArray[np.float64]
Word = Literal["pass", "fail", "inconclusive"]

LOOKS = (10, 14, 20, 28, 40)  # pairs; by simulation: benchmarks/statistics/gate_time.py
POWER = 0.8  # of what is said to be detectable, and of the number of pairs that would decide
MOST_PAIRS = 10_000  # no more are ever proposed
EFFICIENCY = 3 / np.pi  # of the signed-rank test against the t-test, under normal noise


@dataclass(frozen=True, kw_only=True)
class TimeRule:
    """What is slower, when it is looked, and how often the rule may be wrong."""

    margin: float = 0.05  # a slow-down that nobody would mind, a part of the base's time
    looks: tuple[int, ...] = LOOKS  # numbers of pairs, rising; the last is the limit
    alarm: float = 0.01  # chance that an unchanged candidate fails
    wrong_pass: float = 0.05  # chance that a candidate slower by the margin passes
    family: int = 1  # rows that are gated together: the alarm is divided among them (Bonferroni)

    def __post_init__(self) -> None:
        if not 0 < self.margin < 10:
            raise ValueError(f"a margin is a part of the base's time, such as 0.05, not {self.margin}")
        if not (0 < self.alarm < 0.5 and 0 < self.wrong_pass < 0.5):
            raise ValueError("alarm and wrong_pass are chances above 0 and below 0.5")
        if self.family < 1:
            raise ValueError(f"a family has 1 row or more, not {self.family}")
        if not self.looks or self.looks[0] < 1 or any(after <= before for before, after in pairwise(self.looks)):
            raise ValueError(f"looks are rising numbers of pairs, not {list(self.looks)}")

    @property
    def most(self) -> int:
        return self.looks[-1]

    def is_look(self, pairs: int) -> bool:
        return pairs in self.looks

    def levels(self, pairs: int) -> tuple[float, float]:
        """One-sided levels of the tests for fail and for pass at this look; at another number, of a last look there.

        >>> [round(level, 4) for level in TimeRule(looks=(10, 20), alarm=0.01, wrong_pass=0.05).levels(10)]
        [0.0062, 0.031]
        >>> [round(level, 4) for level in TimeRule(looks=(10, 20), alarm=0.01, wrong_pass=0.05).levels(12)]
        [0.0038, 0.019]
        """
        alarm = self.alarm / self.family
        if pairs in self.looks:
            at = self.looks.index(pairs)
            return levels(self.looks, alarm, pocock)[at], levels(self.looks, self.wrong_pass, pocock)[at]
        spent = max((look for look in self.looks if look < pairs), default=0) / self.most
        return alarm - pocock(spent, alarm), self.wrong_pass - pocock(spent, self.wrong_pass)


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What is said of a candidate's time after so many pairs. Changes are parts of the base's time: 0.05 is 5 %."""

    word: Word
    why: str
    pairs: int
    margin: float
    change: float  # Hodges-Lehmann estimate of candidate / base - 1
    low: float  # one-sided bounds, each at this look's part of wrong_pass; -1 or inf: too few pairs for a bound
    high: float
    p: float  # that the candidate is not slower, corrected for the looks and the family: below `alarm`, it is shown
    noise: float  # standard deviation of one pair's log ratio, robustly; nan of fewer than 2 pairs
    detectable: float  # the least true slow-down that all planned looks together would show with 80 % power
    pairs_needed: int | None = None  # about how many would decide it with 80 % power; None: decided, or none would

    @property
    def equivalent(self) -> bool:
        """Not faster by the margin either."""
        return self.word == "pass" and log1p(self.low) > -log1p(self.margin) if self.low > -1 else False


def judged(ratios: Sequence[float], rule: TimeRule, *, last: bool = False) -> Timed | None:
    """The verdict after these log ratios; None where the rule wants more pairs. `last`: there will be no more.

    >>> slow = [0.10, 0.12, 0.09, 0.11, 0.10, 0.13, 0.08, 0.10, 0.11, 0.09]
    >>> judged(slow, TimeRule()).word, judged([x - 0.1 for x in slow], TimeRule()).word, judged(slow[:9], TimeRule())
    ('fail', 'pass', None)
    """
    pairs = len(ratios)
    over = last or pairs >= rule.most
    if not over and not rule.is_look(pairs):
        return None
    found = _look(ratios, rule) if pairs else _nothing(rule)
    return found if over or found.word != "inconclusive" else None


def sequence(ratios: Sequence[float], rule: TimeRule) -> Timed:
    """The verdict of a whole sequence, stopped where the rule stops; for simulations."""
    for look in rule.looks:
        if look > len(ratios):
            break
        found = judged(ratios[:look], rule)
        if found is not None:
            return found
    found = judged(ratios, rule, last=True)
    assert found is not None
    return found


def _look(ratios: Sequence[float], rule: TimeRule) -> Timed:
    values = np.asarray(ratios, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("log ratios must be finite: a block took no time")
    pairs, averages = len(values), walsh(values)
    alarm, wrong_pass = rule.levels(pairs)
    estimate = float(np.median(averages))
    low, high = bounds(averages, pairs, wrong_pass)
    p = above(averages, pairs, 0.0)
    passes = high < log1p(rule.margin)
    fails = not passes and p <= alarm and estimate > log1p(rule.margin / 2)
    noise = _noise(averages, pairs)
    word: Word = "pass" if passes else "fail" if fails else "inconclusive"
    needed = None if passes or fails else _needed(noise, max(estimate, 0.0), pairs, rule)
    return Timed(
        word=word,
        why=_why(word, pairs, needed, rule),
        pairs=pairs,
        margin=rule.margin,
        change=expm1(estimate),
        low=expm1(low),
        high=expm1(high) if isfinite(high) else inf,
        p=min(1.0, p * rule.alarm / alarm) if alarm else 1.0,
        noise=noise,
        detectable=_detectable(noise, rule.most, rule),
        pairs_needed=needed,
    )


def _nothing(rule: TimeRule) -> Timed:
    why = "the time was over before one pair was measured"
    return Timed(
        word="inconclusive", why=why, pairs=0, margin=rule.margin, change=nan, low=-1.0, high=inf, p=1.0, noise=nan,
        detectable=nan,
    )  # fmt: skip


def _why(word: Word, pairs: int, needed: int | None, rule: TimeRule) -> str:
    margin = f"{100 * rule.margin:g} %"
    if word == "pass":
        return f"shown not to be slower by {margin}, in {pairs} pairs of processes"
    if word == "fail":
        return f"shown to be slower, and by more than half of {margin}, in {pairs} pairs of processes"
    if needed is None:
        return f"not decided in {pairs} pairs of processes, and no number up to {MOST_PAIRS:,} would: a wider margin"
    return f"not decided in {pairs} pairs of processes: about {needed} would"


# Signed ranks by Walsh averages. --------------------------------------------------------------------------------------


def walsh(values: Array) -> Array:
    """All (x_i + x_j)/2 with i <= j, sorted: (n(n+1)/2,).

    >>> walsh(np.array([1.0, 3.0])).tolist()
    [1.0, 2.0, 3.0]
    """
    rows, columns = np.triu_indices(len(values))
    return np.sort((values[rows] + values[columns]) / 2)


def above(averages: Array, n: int, centre: float) -> float:
    """One-sided p of "centred at `centre` or below"; Walsh averages equal to it count against showing anything."""
    statistic = int((averages > centre).sum())
    return float(_upper_tail(n)[statistic])


def bounds(averages: Array, n: int, level: float) -> tuple[float, float]:
    """One-sided lower and upper bounds of the centre, each wrong with a chance of at most `level`; +-inf where n is
    too small for any.
    """
    tail = _upper_tail(n)
    enough = int(np.searchsorted(-tail, -level))  # the least statistic with a tail of at most `level`
    if enough > len(averages):
        return -inf, inf
    return float(averages[len(averages) - enough]), float(averages[enough - 1])


@cache
def _upper_tail(n: int) -> Array:
    """P(W >= w) for w = 0 .. n(n+1)/2, of the signed-rank statistic under symmetry; then 0 for what cannot be."""
    ways = np.zeros(n * (n + 1) // 2 + 1)
    ways[0] = 1.0
    for rank in range(1, n + 1):
        ways[rank:] = ways[rank:] + ways[:-rank]
        ways /= 2
    return np.cumsum(ways[::-1])[::-1]


def _noise(averages: Array, n: int) -> float:
    """Standard deviation of one value, from the width of the interval of the centre: normal-consistent, robust."""
    if n < 2:
        return nan
    level = max(0.1, 1.01 * float(_upper_tail(n)[-1]))
    low, high = bounds(averages, n, level)
    tail = _upper_tail(n)
    reached = float(tail[int(np.searchsorted(-tail, -level))])  # what the level came to, being discrete
    width = 2 * float(distributions.norm.isf(reached)) / sqrt(n * EFFICIENCY)
    return (high - low) / width


# What the design can show. --------------------------------------------------------------------------------------------


def _reach(noise: float, pairs: int, level: float) -> float:
    """How far from a limit the truth must be, to be shown on the other side of it with 80 % power."""
    return float(distributions.norm.isf(level) + distributions.norm.isf(1 - POWER)) * noise / sqrt(pairs * EFFICIENCY)


def _detectable(noise: float, pairs: int, rule: TimeRule) -> float:
    """Normal approximation, at the level of the last look."""
    if not isfinite(noise):
        return nan
    half = log1p(rule.margin / 2) + float(distributions.norm.isf(1 - POWER)) * noise / sqrt(pairs * EFFICIENCY)
    return expm1(max(half, _reach(noise, pairs, rule.levels(rule.most)[0])))


def _needed(noise: float, slower: float, pairs: int, rule: TimeRule) -> int | None:
    """What looks slower by more than half the margin is to be shown, of anything else an unchanged one is to pass."""
    if not isfinite(noise):
        return None
    alarm, wrong_pass = rule.levels(rule.most)
    half = log1p(rule.margin / 2)
    level, distance = (alarm, slower) if slower > half else (wrong_pass, log1p(rule.margin))
    enough = (_reach(noise, 1, level) / distance) ** 2
    return max(pairs + 1, ceil(enough)) if enough <= MOST_PAIRS else None


def log_ratio(base: float, candidate: float) -> float:
    """log(candidate / base) of two block times in seconds."""
    if not (base > 0 and candidate > 0):
        raise ValueError(f"block times must be positive, got {base} and {candidate}")
    return log(candidate / base)


def percent(ratio: float) -> float:
    """A log ratio as a change in percent.

    >>> round(percent(log(1.05)), 6)
    5.0
    """
    return 100 * (exp(ratio) - 1)
