"""How often does a history cry wolf, and which creep does it see? Simulated gates, one after the other.

    python benchmarks/statistics/history.py            # the tables of docs/gate.md; some minutes

normal   the change of each gate is drawn about the truth with the noise of the gate, which its interval knows
timed    each gate is the time tier itself: pairs with spikes are drawn and its sequential rule stops where it stops;
         what passes is kept, what fails is refused, as a gate does it
daily    as normal, and another normal change of the same size that no interval knows
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from math import expm1, log1p

import numpy as np
from gate_time import drawn
from scipy import stats

from harness.gate.creep import Row, rows
from harness.gate.findings import Comparison, Finding, Place
from harness.gate.history import Machine, record_of
from harness.gate.sequential import TimeRule, sequence
from harness.metrics.non_inferiority import Rule

MARGIN = 0.05
HERE = Machine(processor="A processor", cores=2, threads=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
# name, true changes of the gates
COURSES = {
    "nothing, 6 gates": [0.0] * 6,
    "nothing, 30 gates": [0.0] * 30,
    "1 % each, the last 6 of 6": [0.01] * 6,
    "1 % each, the last 6 of 30": [0.0] * 24 + [0.01] * 6,
    "1 % each, the last 8 of 30": [0.0] * 22 + [0.01] * 8,
    "1 % each, the last 10 of 30": [0.0] * 20 + [0.01] * 10,
    "one of 3 %, the 15th of 30": [0.0] * 14 + [0.03] + [0.0] * 15,
}


def history(truth: list[float], noise: float, kind: str, generator: np.random.Generator) -> Row | None:
    """One simulated history, read as `harness history` reads it."""
    records = []
    for at, true in enumerate(truth):
        change, low, high, passes, seeds = _gate(log1p(true), noise, kind, generator)
        place = Place(method="vae", evaluation="step" if kind == "timed" else "throughput", source="digits")
        finding = Finding(
            place=place, score="time", unit="s", direction="lower", kind="paired-time", gated=True, verdict="undecided",
            non_inferior=passes, base=1.0, candidate=1 + change, change=change, low=low, high=high, margin=MARGIN,
            seeds=seeds,
        )  # fmt: skip
        found = Comparison(base="", candidate="", findings=(finding,), rule=Rule(), policy="fail")
        when, commit, base = START + timedelta(days=at), f"{at + 1:09x}", f"{at:09x}"
        records.append(record_of(found.as_json(), commit=commit, base=base, when=when, machine=HERE))
    made = rows(records)
    return made[0] if made else None


def _gate(true: float, noise: float, kind: str, generator: np.random.Generator) -> tuple:
    """Change, its interval, does it pass, pairs."""
    if kind == "timed":
        rule = TimeRule(margin=MARGIN)
        found = sequence(list(drawn(generator, 1, rule.most, noise, "spikes")[0] + true), rule)
        return found.change, found.low, found.high, found.word == "pass", found.pairs
    extra = generator.normal(0, noise) if kind == "daily" else 0.0
    x, reach = true + generator.normal(0, noise) + extra, stats.norm.isf(0.05) * noise
    return expm1(x), expm1(x - reach), expm1(x + reach), True, 10


def line(name: str, noise: float, kind: str, reps: int) -> str:
    generator = np.random.default_rng([len(name), int(10_000 * noise), len(kind)])
    found = [history(COURSES[name], noise, kind, generator) for _ in range(reps)]
    made = [row for row in found if row is not None]
    moved = sum(bool(row.moved) for row in made)
    drift = sum(row.drift is not None for row in made)
    covers = sum(row.low <= expm1(sum(map(log1p, COURSES[name]))) <= row.high for row in made)
    shares = " | ".join(f"{100 * each / reps:.1f} %" for each in (moved, drift, covers))
    return f"| {name} | {100 * noise:g} %, {kind} | {shares} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reps", type=int, default=1000)
    parser.add_argument("--kinds", default="normal,daily,timed")
    options = parser.parse_args()
    print(
        "| true changes | noise | a change point | drift beyond 5 % | interval holds the truth |\n|---|---|---|---|---|"
    )
    for kind in options.kinds.split(","):
        for noise in (0.02,) if kind == "timed" else (0.003, 0.01) if kind == "normal" else (0.005,):
            for name in COURSES:
                print(line(name, noise, kind, options.reps // 4 if kind == "timed" else options.reps), flush=True)


if __name__ == "__main__":
    main()
