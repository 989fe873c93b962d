"""What a critical-difference diagram shows: average ranks, and groups of methods that are not told apart.

Demsar 2006, JMLR 7:1, figure 1. Pairs are tested by Wilcoxon's signed-rank test with Holm's correction (Benavoli et al.
2016, JMLR 17(5)), or by Nemenyi's critical difference as in the original. Both hold the family-wise error by
themselves; Friedman's test stands beside them.

Nemenyi's groups are runs of neighbouring ranks. Wilcoxon's need not be: a method between two others may be told apart
from both of them, and they not from each other. A group is therefore its members, not a span.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import floor
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.metrics import signed_rank
from harness.metrics.across_datasets import Floats, Scores
from harness.metrics.friedman import Friedman, average_ranks, friedman, nemenyi, nemenyi_difference

Test = Literal["wilcoxon-holm", "nemenyi"]


@dataclass(frozen=True, kw_only=True)
class Diagram:
    """Methods from the best average rank to the worst; groups and p refer to that order."""

    methods: tuple[str, ...]
    ranks: tuple[float, ...]
    groups: tuple[tuple[int, ...], ...]  # every pair within one is not told apart; each has two members or more
    p: Floats = field(repr=False)  # (M,M) corrected for all pairs
    test: Test
    alpha: float
    critical_difference: float | None  # of average ranks; None for Wilcoxon, which has none
    friedman: Friedman
    datasets: int
    note: str  # empty, or that so few datasets can tell no pair apart, and how many could


def critical_difference(scores: Scores, *, test: Test = "wilcoxon-holm", alpha: float = 0.05) -> Diagram:
    """The diagram of these scores, by each method's mean over its seeds on each dataset.

    Raises ValueError for fewer than 2 methods or 2 datasets.
    """
    means = scores.means
    average = average_ranks(means)
    order = np.argsort(average, kind="stable")
    means, names = means[order], tuple(scores.methods[i] for i in order)
    m, d = means.shape
    overall = friedman(means)
    p = signed_rank.pairwise(means) if test == "wilcoxon-holm" else nemenyi(means)
    difference = nemenyi_difference(m, d, alpha) if test == "nemenyi" else None
    return Diagram(
        methods=names,
        ranks=tuple(average[order].tolist()),
        groups=tuple(not_told_apart(p >= alpha)),
        p=p,
        test=test,
        alpha=alpha,
        critical_difference=difference,
        friedman=overall,
        datasets=d,
        note=_cannot(m, d, alpha, difference),
    )


def not_told_apart(alike: NDArray[np.bool_] | Sequence[Sequence[bool]]) -> list[tuple[int, ...]]:
    """Groups, each as large as can be, in which all pairs are alike (M,M), so that each alike pair shares one.

    Where alike pairs are neighbours, these are all maximal cliques. In general there may be exponentially many of
    those, and this is a part of them that leaves no pair out.

    >>> not_told_apart([[True, True, False], [True, True, True], [False, True, True]])
    [(0, 1), (1, 2)]
    """
    table = np.asarray(alike, dtype=bool)
    size = len(table)
    groups: list[tuple[int, ...]] = []
    covered = np.eye(size, dtype=bool)
    for first in range(size):
        for last in range(size - 1, first, -1):
            if not table[first, last] or covered[first, last]:
                continue
            group = [first, last]
            for one in sorted(set(range(size)) - set(group), key=lambda i: (not first < i < last, abs(i - first))):
                if table[one, group].all():
                    group.append(one)
            covered[np.ix_(group, group)] = True
            groups.append(tuple(sorted(group)))
    return groups


def _cannot(methods: int, datasets: int, alpha: float, difference: float | None) -> str:
    """What to say where not even the clearest outcome would tell a pair apart."""
    said = f"{datasets} datasets cannot tell any of {methods} methods apart at {alpha:.0%}: "
    if difference is not None:
        if difference < methods - 1:
            return ""
        enough = floor(datasets * (difference / (methods - 1)) ** 2) + 1  # it shrinks with the root of their number
        return said + f"the critical difference is {difference:.2f} ranks; {enough} datasets could"
    pairs = methods * (methods - 1) // 2
    smallest = signed_rank.smallest_p(datasets, pairs)
    if smallest < alpha:
        return ""
    enough = signed_rank.fewest_datasets(pairs, alpha)
    return said + f"the smallest possible p is {smallest:.2g}; {enough} datasets could"
