"""Values that change in training: decays of moving averages, temperatures, weights of a term.

progress is the fraction of the budget that is spent, in [0,1]: `batch.progress`, and what `after_step` gets.
"""

from __future__ import annotations

from math import cos, pi


def cosine(start: float, end: float, progress: float) -> float:
    """From `start` at progress 0 to `end` at 1 along half a cosine: slowly at both ends.

    >>> [round(cosine(0.9, 1.0, progress), 3) for progress in (0.0, 0.5, 1.0)]
    [0.9, 0.95, 1.0]
    """
    return end - (end - start) * (1 + cos(pi * progress)) / 2


def linear(start: float, end: float, progress: float, until: float = 1.0) -> float:
    """From `start` at progress 0 in a straight line to `end` at `until`, and `end` from there on.

    until: a fraction of the budget in [0,1]; at 0 it is `end` from the start.

    >>> [linear(0.0, 1.0, progress, until=0.5) for progress in (0.0, 0.25, 0.5, 1.0)]
    [0.0, 0.5, 1.0, 1.0]
    """
    return end if progress >= until else start + (end - start) * progress / until
