"""Do intervals hold at the look at which `--seeds auto` ended? Simulated, with seeds alone, where stopping does most.

    python benchmarks/statistics/looking.py      # the table of docs/how-we-compare.md; seconds

A method and the baseline vary over seeds by 1 and share a part of it, as paired seeds do; `delta` is how far apart they
are. Looks, their levels and when they end are those of harness.looks: the difference is decided when it differs at the
level of the look, or when it is so small that 100 seeds would not find it (below 0.28 standard deviations).
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from harness.looks import planned_looks

DRAWS = 40_000  # experiments of one design
DELTAS, LIMITS, SHARED = (0.0, 0.5, 1.0, 1.5, 2.0, 4.0), (5, 7, 11, 21), (0.0, 0.5)


def covers(values: np.ndarray, truth: float, alpha: float) -> np.ndarray:
    """Is the truth within the interval of the mean of each row's values (R,n)? (R,)"""
    n = values.shape[1]
    half = stats.t.ppf(1 - alpha / 2, n - 1) * values.std(1, ddof=1) / np.sqrt(n)
    return np.asarray(np.abs(values.mean(1) - truth) <= half)


def simulated(delta: float, limit: int, shared: float, rng: np.random.Generator) -> dict[str, float]:
    """The shares of experiments in which each kind of interval covers, at the look at which they ended."""
    common = np.sqrt(shared) * rng.standard_normal((DRAWS, limit))
    own = np.sqrt(1 - shared) * rng.standard_normal((2, DRAWS, limit))
    method, baseline = own[0] + common + delta, own[1] + common
    ended, looks = np.zeros(DRAWS, bool), list(planned_looks(limit))
    found = {name: np.zeros(DRAWS, bool) for name in ("mean at 95 %", "difference at 95 %", "difference at the look's")}
    for look in looks:
        n = look.seeds
        gain = (method - baseline)[:, :n]
        size = np.abs(gain.mean(1)) / gain.std(1, ddof=1)
        decided = (2 * stats.t.sf(size * np.sqrt(n), n - 1) < look.alpha) | (size < 0.28) | (look is looks[-1])
        now = decided & ~ended
        found["mean at 95 %"][now] = covers(method[:, :n], delta, 0.05)[now]
        found["difference at 95 %"][now] = covers(gain, delta, 0.05)[now]
        found["difference at the look's"][now] = covers(gain, delta, look.alpha)[now]
        ended |= decided
    return {name: float(each.mean()) for name, each in found.items()}


def main() -> None:
    rng = np.random.default_rng(0)
    print("| seeds at most | " + " | ".join(("mean at 95 %", "difference at 95 %", "difference at the look's")) + " |")
    print("|---|---|---|---|")
    for limit in LIMITS:
        designs = [simulated(delta, limit, shared, rng) for delta in DELTAS for shared in SHARED]
        cells = [sorted(design[name] for design in designs) for name in designs[0]]
        print(f"| {limit} | " + " | ".join(f"{100 * each[0]:.1f} to {100 * each[-1]:.1f} %" for each in cells) + " |")


if __name__ == "__main__":
    main()
