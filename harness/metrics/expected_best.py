"""What tuning gives: the expected best validation score of n trials. Dodge et al. 2019, arXiv:1909.03004, equation 5.

N trials were run, with settings that were drawn or laid out in a grid. Of n trials drawn from them with replacement the
best has, with F(v) the share of trials that are at most v,

    V_n = sum over distinct values v_1 < v_2 < ... of v_i (F(v_i)^n - F(v_(i-1))^n)

the mean over all N^n draws. V_1 is the mean of the trials, V_N is below the best of them (drawn with replacement, it
is missed with chance (1-1/N)^N): the curve says what n trials are worth, not what was reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Literal

import numpy as np


def expected_best(scores: Sequence[float], better: Literal["higher", "lower"] = "higher") -> list[float]:
    """V_1 to V_N of N trials' scores, in their unit. Raises ValueError without scores, or where one is not finite.

    >>> [round(value, 4) for value in expected_best([0.5, 0.9])], expected_best([2.0, 1.0], better="lower")
    ([0.7, 0.8], [1.5, 1.25])
    """
    if not scores or not all(isfinite(score) for score in scores):
        raise ValueError("the expected best needs at least one trial, and only finite scores")
    sign = 1.0 if better == "higher" else -1.0
    values, counts = np.unique(sign * np.asarray(scores, dtype=np.float64), return_counts=True)
    share = np.concatenate([[0.0], np.cumsum(counts) / len(scores)])  # F, from below the least value
    return [float(sign * (values * np.diff(share**n)).sum()) for n in range(1, len(scores) + 1)]
