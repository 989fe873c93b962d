"""Estimates and differences of series: over seeds and test examples where outcomes were kept, else over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.examples import Outcomes, in_common
from harness.metrics.crossed import crossed_difference, crossed_interval
from harness.metrics.statistics import LEVEL, Difference, Estimate, mean_interval, paired_difference, wilson, within

Kept = Mapping[int, Outcomes]  # what the examples of a score got, by seed


def estimate(
    by_seed: Mapping[int, float], kept: Kept, *, examples: int | None, proportion: bool, low: float, high: float
) -> Estimate:
    """Mean and interval of a score, which ends where such a score can go no further: a fraction at 0 and 1.

    examples: that each value was measured on, for the interval of one share whose outcomes were not kept.
    """
    matrix = _matrix([kept[seed] for seed in by_seed]) if by_seed.keys() <= kept.keys() else None
    if matrix is not None:
        return within(crossed_interval(matrix, proportion=proportion), low, high)
    values = list(by_seed.values())
    if len(values) == 1 and proportion and examples:
        return wilson(values[0], int(examples))
    return within(mean_interval(values), low, high)


def difference(a: Any, b: Any, *, proportion: bool, level: float = LEVEL) -> Difference | None:
    """a - b, each with `by_seed` and `kept`, as harness.report.entries.Entry has them; None where no seed is shared."""
    common = sorted((a.by_seed or {}).keys() & (b.by_seed or {}).keys())
    if not common:
        return None
    if all(seed in a.kept and seed in b.kept for seed in common):
        matrix = _matrix([*(a.kept[seed] for seed in common), *(b.kept[seed] for seed in common)])
        if matrix is not None:
            first, second = (dict(zip(common, part, strict=True)) for part in np.split(matrix, 2))
            found = crossed_difference(first, second, proportion=proportion, level=level)
            return found and replace(found, unpaired=len(a.by_seed.keys() ^ b.by_seed.keys()))
    return paired_difference(a.by_seed, b.by_seed, level)


def _matrix(several: Sequence[Outcomes]) -> np.ndarray | None:
    """Outcomes (S,N) on the examples that all have; None where that is fewer than two."""
    rows, values = in_common(several)
    return np.stack(values) if len(rows) > 1 else None
