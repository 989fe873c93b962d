"""Makes harness/metrics/crossed_critical.json: critical values for a mean whose variance is estimated in part.

    python benchmarks/statistics/critical_values.py          # 5 to 10 minutes on one core

A mean has the variance A + B. B is known; of A there is an estimate a with f degrees of freedom, f a / A ~ chi2(f).
An interval is mean +- c(a / (a + B)) sqrt(a + B). With B = 0 that is Student's, with A = 0 the normal one, and
between them no c covers the same for every share A / (A + B). Welch's effective degrees of freedom come to 87 % with
two seeds where 95 % was asked for, and Behrens' and Fisher's solution to 98.8 %. Here c is what comes nearest for all
shares at once: a rising curve over the share, found by least squares on the error rate (as Trickett and Welch 1954,
Biometrika 41:361, solved the integral equation by hand). What is too liberal counts three times what is too careful.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from scipy import optimize, special, stats
from scipy.interpolate import PchipInterpolator

FILE = Path(__file__).parents[2] / "harness" / "metrics" / "crossed_critical.json"
FREEDOMS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 19, 39)
LEVELS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999)
SHARES = np.array([0, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0])
TRUE_SHARES = special.expit(np.linspace(-6, 7, 80))
FINE = np.unique(np.concatenate([np.linspace(0, 1, 1500), np.geomspace(1e-5, 0.01, 50)]))
NODES, WEIGHTS = np.polynomial.legendre.leggauss(500)


def error_rates(curve: np.ndarray, freedom: int) -> np.ndarray:
    """How often an interval of these critical values (at FINE) misses, for each of TRUE_SHARES."""
    spread = stats.chi2.ppf((NODES + 1) / 2, freedom) / freedom
    estimated, known = np.outer(TRUE_SHARES, spread), (1 - TRUE_SHARES)[:, None]
    total = estimated + known
    critical = np.interp(estimated / total, FINE, curve)
    return (2 * special.ndtr(-critical * np.sqrt(total)) * WEIGHTS / 2).sum(1)


def solved(freedom: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Critical values at SHARES, and the error rates that they give."""
    ends = np.log([stats.norm.ppf((1 + level) / 2), stats.t.ppf((1 + level) / 2, freedom)])

    def rising(weights: np.ndarray) -> np.ndarray:
        steps = np.exp(weights - weights.max())
        return ends[0] + np.concatenate([[0], np.cumsum(steps) / steps.sum()]) * (ends[1] - ends[0])

    def rates(weights: np.ndarray) -> np.ndarray:
        return error_rates(np.exp(PchipInterpolator(SHARES, rising(weights))(FINE)), freedom)

    def misfit(weights: np.ndarray) -> np.ndarray:
        error = rates(weights) / (1 - level) - 1
        return np.concatenate([np.where(error > 0, 3, 1) * error, 0.002 * np.diff(weights, 2)])

    starts = (np.log(np.diff(SHARES) + 1e-3), np.log(np.diff(SHARES**2) + 1e-3))
    best = min((optimize.least_squares(misfit, start, max_nfev=80) for start in starts), key=lambda found: found.cost)
    return np.exp(rising(best.x)), rates(best.x)


def main() -> None:
    table: dict[str, list[list[float]]] = {}
    for freedom in FREEDOMS:
        table[str(freedom)] = []
        for level in LEVELS:
            values, rates = solved(freedom, level)
            table[str(freedom)].append([round(float(value), 4) for value in values])
            print(f"{freedom} degrees of freedom, {level:g}: misses {rates.min():.5f} to {rates.max():.5f}", flush=True)
    content = {"levels": LEVELS, "shares": SHARES.tolist(), "critical": table}
    FILE.write_text(json.dumps(content).replace("]], ", "]],\n") + "\n")


if __name__ == "__main__":
    main()
