"""Does the gate keep its promises? Its rule (harness.metrics.non_inferiority) on answers drawn as in coverage.py.

    python benchmarks/statistics/gate.py          # the tables of docs/gate.md; five to ten minutes

Base and candidate are two versions of one method, trained with the same seeds and judged on the same examples. They
differ as two trainings do that a rounding error drove apart (variances as measured, see coverage.py; of examples that
are hard for one version alone there are none), and the candidate's true accuracy is lower by 0, 1 or 2 margins.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from coverage import SETTINGS, Setting, experiments, parts

from harness.metrics.crossed import critical, crossed_difference
from harness.metrics.non_inferiority import Question, Rule, decide

SEEDS, EXAMPLES, FAMILIES = (2, 3, 5, 10), (360, 2_000, 10_000), (1, 6)
MARGIN = 0.01
BLOCK = 1e7  # random numbers at once
VALUES = 6e7  # for one design at most
DRAWS = 4_000


Drawn = tuple[np.ndarray, np.ndarray, np.ndarray]  # the estimated gain (R,) and the two parts of its variance


def drawn(setting: Setting, loss: float, seeds: int, examples: int) -> Drawn:
    """What experiments with a candidate that is worse by `loss` would estimate."""
    draws = int(min(DRAWS, VALUES / (seeds * examples)))
    block = int(min(draws, max(1, BLOCK // (seeds * examples))))
    blocks = []
    for start in range(0, draws, block):
        # `experiments` gives (better - worse); what is asked is the candidate's gain
        differences = -experiments(setting, loss, seeds, examples, min(block, draws - start), seed=start + 7)
        blocks.append(parts(differences))
        if start == 0:
            _assert_alike(differences[0], *(values[:1] for values in blocks[0]))
    return tuple(np.concatenate(values) for values in zip(*blocks, strict=True))  # type: ignore[return-value]


def judged(mean: np.ndarray, a: np.ndarray, b: np.ndarray, seeds: int, rule: Rule) -> dict[str, np.ndarray]:
    """The rule on many experiments at once: flags (R,)."""
    error, share = np.sqrt(a + b), a / (a + b)
    reach = critical(share, seeds, rule.level) * error
    passes = mean - reach > -MARGIN
    flags = {"passes": passes, "equivalent": passes & (mean + reach < MARGIN)}
    for family in FAMILIES:
        shown = mean < -critical(share, seeds, 1 - 2 * rule.alarm / family) * error
        flags[f"worse of {family}"] = shown & (mean < -MARGIN / 2) & ~passes
    return flags


def _assert_alike(one: np.ndarray, mean: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """What is simulated is what the gate does."""
    nothing = dict.fromkeys(range(len(one)), np.zeros(one.shape[1]))
    gain = crossed_difference(dict(enumerate(one)), nothing, proportion=True)
    assert gain is not None
    (found,) = decide([Question(gain=gain, margin=MARGIN)])
    flags = {name: bool(values[0]) for name, values in judged(mean, a, b, len(one), Rule()).items()}
    assert found.non_inferior == flags["passes"]
    assert (found.word == "equivalent") == flags["equivalent"]
    assert (found.word == "worse") == flags["worse of 1"]


def rates(setting: Setting, loss: float, seeds: int, examples: int, rule: Rule) -> dict[str, float]:
    """How often a candidate that is worse by `loss` passes, and is called worse, as one of so many rows."""
    flags = judged(*drawn(setting, loss, seeds, examples), seeds, rule)
    return {name: float(values.mean()) for name, values in flags.items()}


def table(setting: Setting, rule: Rule) -> None:
    """One line for each design, as Markdown."""
    print(f"\n### {setting.name}\n")
    columns: tuple[str, ...] = ("seeds", "examples", "unchanged: false alarm", "in any of 6 rows", "passes")
    columns += ("worse by the margin: passes", "called worse")
    columns += ("worse by 2 margins: passes", "called worse", "as one of 6 rows")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for seeds in SEEDS:
        for examples in EXAMPLES:
            none, one, two = (rates(setting, k * MARGIN, seeds, examples, rule) for k in (0, 1, 2))
            any_of = 1 - (1 - none["worse of 6"]) ** 6
            numbers = (
                none["worse of 1"], any_of, none["passes"], one["passes"], one["worse of 1"],
                two["passes"], two["worse of 1"], two["worse of 6"],
            )  # fmt: skip
            print(f"| {seeds} | {examples:,} |", " | ".join(f"{100 * n:.1f} %" for n in numbers), "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alarm", type=float, default=Rule().alarm)
    parser.add_argument("--wrong-pass", type=float, default=Rule().wrong_pass)
    asked = parser.parse_args()
    rule = Rule(alarm=asked.alarm, wrong_pass=asked.wrong_pass)
    for setting in (SETTINGS[0], SETTINGS[3]):
        one_method = replace(setting, name=setting.name, shared=setting.shared + setting.own, own=0.0)
        table(one_method, rule)


if __name__ == "__main__":
    main()
