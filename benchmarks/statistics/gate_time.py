"""Does the time tier keep its promises? Its rule (harness.gate.sequential) on log ratios of pairs that are drawn.

    python benchmarks/statistics/gate_time.py          # the table of docs/gate.md; a few minutes
    python benchmarks/statistics/gate_time.py --looks 8,12,18,26,40
    python benchmarks/statistics/gate_time.py --coverage     # how often the shown interval holds the truth

Noise of a pair, of standard deviation s where nothing disturbs:
    spikes   normal, and one pair in ten is disturbed in either arm: an exponential of mean 3 s
    drift    the same, and what a drift of the machine leaves in a pair after its rounds of ABBA or BAAB: an
             Ornstein-Uhlenbeck process of sd s and length 10 pairs, with the sign of an order that is drawn
    fixed    the same drift where the base always comes first: what the drawing of the order is for
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from math import exp, log1p, sqrt

import numpy as np

from harness.gate.sequential import LOOKS, TimeRule, sequence

NOISES = (0.01, 0.02, 0.03, 0.05, 0.08)
MARGINS = (0.05, 0.10)
SLOWER = (0.0, 0.05, 0.10)
LENGTH = 10.0  # pairs over which the drift forgets


def drawn(generator: np.random.Generator, reps: int, pairs: int, sd: float, kind: str) -> np.ndarray:
    """Log ratios of an unchanged candidate: (reps, pairs)."""
    shape = (reps, pairs)
    spikes = generator.exponential(3 * sd, shape) * (generator.random(shape) < 0.1)
    found = generator.normal(0, sd, shape) + spikes * generator.choice([-1.0, 1.0], shape)
    if kind == "spikes":
        return found
    sign = 1.0 if kind == "fixed" else generator.choice([-1.0, 1.0], shape)
    return found + sign * drift(generator, reps, pairs, sd)


def drift(generator: np.random.Generator, reps: int, pairs: int, sd: float) -> np.ndarray:
    kept = exp(-1 / LENGTH)
    found = np.empty((reps, pairs))
    found[:, 0] = generator.normal(0, sd, reps)
    for at in range(1, pairs):
        found[:, at] = kept * found[:, at - 1] + generator.normal(0, sd * sqrt(1 - kept**2), reps)
    return found


def rates(ratios: np.ndarray, rule: TimeRule) -> tuple[float, float, float]:
    """Shares of fail and of pass, and the mean number of pairs."""
    found = [sequence(list(row), rule) for row in ratios]
    words = [one.word for one in found]
    return words.count("fail") / len(words), words.count("pass") / len(words), float(np.mean([f.pairs for f in found]))


def covered(ratios: np.ndarray, rule: TimeRule, slower: float) -> float:
    """Share of intervals, as they are shown where the rule stops, that hold the true change."""
    found = [sequence(list(row), rule) for row in ratios]
    return float(np.mean([one.low <= slower <= one.high for one in found]))


def coverage(rule: TimeRule, reps: int) -> str:
    """One line for each noise; the nominal level is 1 - 2 * wrong_pass, spent over all looks."""
    lines = ["| noise of a pair | " + " | ".join(f"+{100 * s:g} %" for s in SLOWER) + " |", "|---|---|---|---|"]
    for kind in ("spikes", "drift"):
        for sd in NOISES:
            cells = [f"{100 * sd:g} %, {kind}"]
            for slower in SLOWER:
                generator = np.random.default_rng([int(1000 * sd), int(1000 * slower), len(kind), 1])
                ratios = drawn(generator, reps, rule.most, sd, kind) + log1p(slower)
                cells.append(f"{100 * covered(ratios, rule, slower):.1f} %")
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def table(rule: TimeRule, kinds: Sequence[str], reps: int) -> str:
    """One line for each noise."""
    shown = "| noise of a pair | 0 %: fail | pass | pairs | +5 %: fail | pass | pairs | +10 %: fail | pass | pairs |"
    lines = [shown, "|---|" + "---|" * (3 * len(SLOWER))]
    for kind in kinds:
        for sd in NOISES:
            cells = [f"{100 * sd:g} %, {kind}"]
            for slower in SLOWER:
                generator = np.random.default_rng([int(1000 * sd), int(1000 * slower), len(kind)])
                fail, passed, pairs = rates(drawn(generator, reps, rule.most, sd, kind) + log1p(slower), rule)
                cells += [f"{100 * fail:.1f} %", f"{100 * passed:.1f} %", f"{pairs:.0f}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--looks", default=",".join(str(look) for look in LOOKS))
    parser.add_argument("--reps", type=int, default=1000)
    parser.add_argument("--kinds", default="spikes,drift,fixed")
    parser.add_argument("--alarm", type=float, default=0.01)
    parser.add_argument("--coverage", action="store_true", help="of the intervals, instead of the rates")
    options = parser.parse_args()
    looks = tuple(int(look) for look in options.looks.split(","))
    for margin in MARGINS:
        rule = TimeRule(margin=margin, looks=looks, alarm=options.alarm)
        shown = (
            coverage(rule, options.reps) if options.coverage else table(rule, options.kinds.split(","), options.reps)
        )
        print(f"\n### margin {100 * margin:g} %\n\n{shown}", flush=True)


if __name__ == "__main__":
    main()
