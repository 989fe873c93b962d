"""Looking at a test several times, while its error over all looks stays what it was: alpha spending.

Seeds are added until a difference is decided, or until a limit. A test at 5 % at each look would be wrong far more
often than that (15 % over 5 looks). So the error alpha is spent over the looks: by an increasing function a(t) of the
share t of the seeds that there will be at most, with a(0) = 0 and a(1) = alpha (Lan & DeMets 1983, Biometrika 70:659).
Look k is tested at

    alpha_k = a(t_k) - a(t_(k-1))

so that the alpha_k sum to alpha. By the union bound the chance that any look is wrong is then at most alpha, whatever
the looks have in common: for t tests over few seeds, for seeds crossed with examples, and for Holm's correction within
each look (its error over the family is alpha_k at look k, so alpha over all). Differs from Lan & DeMets, who find each
level from the joint normal distribution of the looks: that reaches further, but what it promises holds for known
variances, and ours are estimated from 2 to 10 degrees of freedom. Stopping early because nothing would be found costs
no error.

Intervals at 1 - alpha_k are repeated confidence intervals (Jennison & Turnbull 1989, JRSS B 51:305): with a chance of
1 - alpha all of them hold, and so does the one at which the looking ended, whatever ended it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import e, log, sqrt

from scipy import stats as distributions

Spent = Callable[[float, float], float]  # (t, alpha) -> a(t)


def pocock(share: float, alpha: float) -> float:
    """Much early: alpha ln(1 + (e-1) t), which gives levels near Pocock's, equal for all looks.

    >>> round(pocock(0.2, 0.05), 5), round(pocock(1.0, 0.05), 5)
    (0.01477, 0.05)
    """
    return alpha * log(1 + (e - 1) * share)


def obrien_fleming(share: float, alpha: float) -> float:
    """Little early: 4 - 4 Phi(z(1-alpha/4) / sqrt(t)), each side as O'Brien and Fleming would have it.

    >>> round(obrien_fleming(0.5, 0.05), 5), round(obrien_fleming(1.0, 0.05), 5)
    (0.00305, 0.05)
    """
    if share == 0:
        return 0.0
    return float(4 * distributions.norm.sf(distributions.norm.isf(alpha / 4) / sqrt(share)))


def quadratic(share: float, alpha: float) -> float:
    """Between the two: alpha t^2 (Kim & DeMets 1987, Biometrika 74:149).

    >>> quadratic(0.5, 0.05)
    0.0125
    """
    return alpha * share**2


def levels(looks: Sequence[int], alpha: float = 0.05, spent: Spent = quadratic) -> list[float]:
    """The level of each look, for the number of seeds that it has; the last is the limit. They sum to alpha.

    Raises ValueError where looks do not rise from 1 or more, or alpha is no chance.

    >>> [round(level, 4) for level in levels([3, 5, 10])]
    [0.0045, 0.008, 0.0375]
    """
    if not looks or looks[0] < 1 or any(after <= before for before, after in pairwise(looks)):
        raise ValueError(f"looks are rising numbers of seeds, not {list(looks)}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is a chance between 0 and 1, not {alpha}")
    spending = [0.0, *(spent(seeds / looks[-1], alpha) for seeds in looks)]
    return [after - before for before, after in pairwise(spending)]
