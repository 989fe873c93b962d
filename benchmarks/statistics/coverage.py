"""Do our intervals cover 95 %, and do our tests cry wolf 5 % of the time? Simulated with variances as measured.

    python benchmarks/statistics/coverage.py                      # the tables of docs/how-we-compare.md; 10 minutes
    python benchmarks/statistics/coverage.py --measure RUN        # such variances from a run that kept its examples

Right or wrong of method m, seed s and example e is drawn as it is in life, and not from the model that the intervals
assume: right where  theta_m + u_ms + v_e + w_me + noise_mse > 0,  all normal, with total variance 1. u says how much
trainings differ, v how much harder some examples are for everybody, w how much harder for one method alone. The true
accuracy over all seeds and examples is Phi(theta_m), so that what an interval should cover is known.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

import numpy as np
from scipy import optimize, stats

from harness.metrics.crossed import critical, crossed_difference

SEEDS, EXAMPLES = (2, 3, 5, 10), (100, 360, 1_000, 10_000)
VALUES = 1e8  # random numbers for one design at most
DRAWS = 4_000  # experiments of one design at most


@dataclass(frozen=True)
class Setting:
    """Two methods of one run: what they have in common and what is their own, on the latent scale."""

    name: str
    accuracy: float  # of both, where they do not differ
    seeds: float  # variance of u
    shared: float  # variance of v
    own: float  # variance of w


# kNN accuracies of benchmarks/suites/pretext.toml, three seeds, by --measure: methods that differ, and that are alike.
SETTINGS = (
    Setting("digits, jigsaw and rotation", 0.933, 0.0053, 0.501, 0.165),
    Setting("digits, byol and vicreg", 0.985, 0.0110, 0.914, 0.000),
    Setting("Fashion-MNIST, random-init and simclr", 0.818, 0.0003, 0.758, 0.120),
    Setting("Fashion-MNIST, dino and vicreg", 0.845, 0.0001, 0.878, 0.022),
)


def experiments(setting: Setting, difference: float, seeds: int, examples: int, draws: int, seed: int) -> np.ndarray:
    """Differences of right and wrong (R,S,N) in {-1,0,1} of two methods whose accuracies differ by `difference`."""
    rng = np.random.default_rng(seed)
    noise = sqrt(1 - setting.seeds - setting.shared - setting.own)
    shape = (draws, seeds, examples)
    difficulty = rng.standard_normal((draws, 1, examples), dtype=np.float32) * sqrt(setting.shared)
    right = []
    for accuracy in (setting.accuracy + difference / 2, setting.accuracy - difference / 2):
        latent = rng.standard_normal(shape, dtype=np.float32) * noise
        latent += difficulty + rng.standard_normal((draws, 1, examples), dtype=np.float32) * sqrt(setting.own)
        latent += rng.standard_normal((draws, seeds, 1), dtype=np.float32) * sqrt(setting.seeds)
        right.append((latent + stats.norm.ppf(accuracy) > 0).astype(np.int8))
    return right[0] - right[1]


def parts(differences: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean (R,) and the two parts of its variance, by seeds and by examples, see harness.metrics.crossed."""
    _draws, seeds, examples = differences.shape
    by_seed, by_example = differences.mean(2), differences.mean(1)  # (R,S), (R,N)
    mean = by_seed.mean(1)
    squares = (differences.astype(np.int32) ** 2).sum((1, 2))
    of_seeds, of_examples = examples * by_seed.var(1, ddof=1), seeds * by_example.var(1, ddof=1)
    all_of = squares - seeds * examples * mean**2
    rest = (all_of - (seeds - 1) * of_seeds - (examples - 1) * of_examples) / ((seeds - 1) * (examples - 1))
    a = of_seeds / (seeds * examples)
    return mean, a, np.maximum((of_examples - rest) / (seeds * examples), 1 / examples**2)


def judged(differences: np.ndarray, true: float) -> tuple[float, float, float, float]:
    """How often the true difference is covered and 0 is rejected: by seeds and examples, then by seeds alone."""
    seeds = differences.shape[1]
    mean, a, b = parts(differences)
    by_seed = differences.mean(2)  # (R,S)
    half = critical(a / (a + b), seeds) * np.sqrt(a + b)
    _assert_alike(differences[0], mean[0], half[0])
    alone = stats.t.ppf(0.975, seeds - 1) * by_seed.std(1, ddof=1) / sqrt(seeds)
    shares = [(np.abs(mean - point) <= reach).mean() for reach in (half, alone) for point in (true, 0.0)]
    return float(shares[0]), 1 - float(shares[1]), float(shares[2]), 1 - float(shares[3])


def _assert_alike(one: np.ndarray, mean: float, half: float) -> None:
    """What is simulated is what reports do."""
    nothing = dict.fromkeys(range(len(one)), np.zeros(one.shape[1]))
    found = crossed_difference(dict(enumerate(one)), nothing, proportion=True)
    assert found is not None
    assert found.high is not None
    assert abs(found.high - mean - half) < 1e-9, (found.high - mean, half)


def table(setting: Setting, differences: tuple[float, ...] = (0.0, 0.01, 0.02)) -> None:
    """Coverage and false alarms where there is no difference, and power where there is one, as Markdown."""
    print(f"\n### {setting.name}\n")
    powers = [f"power at {100 * size:g} points (seeds alone)" for size in differences[1:]]
    print("| seeds | examples | covers | false alarms | seeds alone: covers | false alarms |", " | ".join(powers), "|")
    print("|---" * (6 + len(powers)) + "|")
    for seeds in SEEDS:
        for examples in EXAMPLES:
            draws = int(min(DRAWS, VALUES / (seeds * examples)))
            rows = [
                judged(experiments(setting, size, seeds, examples, draws, seed=index), size)
                for index, size in enumerate(differences)
            ]
            covers, alarms, covers_alone, alarms_alone = rows[0]
            found = [f"{row[1]:.2f} ({row[3]:.2f})" for row in rows[1:]]
            shares = [f"{100 * value:.1f} %" for value in (covers, alarms, covers_alone, alarms_alone)]
            print(f"| {seeds} | {examples:,} |", " | ".join([*shares, *found]), "|", flush=True)


def measure(path: str, evaluation: str, score: str) -> None:
    """The variances of every pair of methods of a run, from which SETTINGS were taken."""
    import harness

    frame = harness.load(path).examples(evaluation, score)
    for (source, target), part in frame.groupby(["source", "target"], observed=True):
        methods = {
            " ".join(map(str, name)): group.pivot_table(index="seed", columns="example", values="outcome").to_numpy()
            for name, group in part.groupby(["method", "backbone", "budget"], observed=True)
        }
        for one, other in combinations(methods, 2):
            if methods[one].shape == methods[other].shape and len(methods[one]) > 1:
                print(f"{source} -> {target}: {one}, {other}:", _variances(methods[one], methods[other]))


def _variances(one: np.ndarray, other: np.ndarray) -> Setting:
    """By agreement: of two seeds of one method, v + w; of two methods, v; and u from the spread of accuracies."""
    accuracy = (one.mean() + other.mean()) / 2
    theta = stats.norm.ppf(accuracy)
    same = np.mean([(m[a] * m[b]).mean() for m in (one, other) for a, b in combinations(range(len(m)), 2)])
    across = np.mean([(one[a] * other[b]).mean() for a in range(len(one)) for b in range(len(other)) if a != b])
    spread = (one.mean(1).var(ddof=1) + other.mean(1).var(ddof=1)) / 2
    inside = accuracy * (1 - accuracy) - (same - accuracy**2)  # of one training on one example, given the example
    seeds = max(0.0, spread - inside / one.shape[1]) / stats.norm.pdf(theta) ** 2
    both, shared = (_correlation(theta, agreement) for agreement in (same, across))
    return Setting("", float(accuracy), float(seeds), float(shared), float(max(0.0, both - shared)))


def _correlation(theta: float, both_right: float) -> float:
    """The correlation of two normals that are both below theta so often (tetrachoric)."""

    def excess(correlation: float) -> float:
        both = stats.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]])
        return float(both.cdf([theta, theta])) - both_right

    if excess(0.999) < 0:
        return 0.999
    return float(optimize.brentq(excess, 1e-6, 0.999)) if excess(1e-6) < 0 else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", metavar="RUN")
    parser.add_argument("--evaluation", default="knn")
    parser.add_argument("--score", default="accuracy")
    asked = parser.parse_args()
    if asked.measure:
        measure(asked.measure, asked.evaluation, asked.score)
    else:
        for setting in SETTINGS:
            table(setting)


if __name__ == "__main__":
    main()
