"""The same request on several kinds of CPU: what the test over seeds said of it, and what the crossed test says.

A trained network's last digits follow the CPU's instructions, and its test answers follow them. Older instruction sets
stand in for older CPUs here: the same machine computes with fewer of its instructions.

    BENCH="harness bench --plugins vae,jigsaw --evaluations linear-probe,knn --seeds 3 --jobs 1 --out RUNS"
    export OMP_NUM_THREADS=1
    $BENCH/AVX-512                                                     # as the machine is
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 $BENCH/AVX2
    ONEDNN_MAX_CPU_ISA=SSE41 ATEN_CPU_CAPABILITY=default MKL_ENABLE_INSTRUCTIONS=SSE4_2 $BENCH/SSE4
    python benchmarks/statistics/instruction_sets.py RUNS/*

prints, as Markdown, the difference of each pair of methods by each score on each, with both p values.
"""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import harness
from harness.metrics.crossed import crossed_difference
from harness.metrics.statistics import Difference, paired_difference

LEFT_OUT = {"pca", "supervised"}  # what is learned is compared with the rest


def main(folders: list[str]) -> None:
    """One table: a row for each score and pair of methods, two columns for each folder."""
    columns = {Path(folder).name: dict(differences(harness.load(folder))) for folder in folders}
    names = list(columns)
    print("| score | difference |", " | ".join(f"{n}: seeds alone | {n}: crossed" for n in names), "|")
    print("|---|---|" + "---|" * (2 * len(names)))
    for key in columns[names[0]]:
        cells = [text for name in names for text in columns[name][key]]
        print(f"| {key[0]} | {key[1]} - {key[2]} | {' | '.join(cells)} |")


def differences(results: harness.Results) -> dict[tuple[str, str, str], tuple[str, str]]:
    """(evaluation, one, other) -> the difference with its p by the test over seeds alone, and by the crossed one."""
    outcomes = results.examples(score="accuracy")
    found: dict[tuple[str, str, str], tuple[str, str]] = {}
    for evaluation, of in outcomes.groupby("evaluation", sort=False):
        by_method = {
            str(method): {
                int(seed): one.sort_values("example")["outcome"].to_numpy() for seed, one in rows.groupby("seed")
            }
            for method, rows in of.groupby("method", sort=False)
        }
        for one, other in combinations(map(str, by_method), 2):
            if {one, other} & LEFT_OUT or {one, other} == {"pixels", "random-init"}:
                continue
            first, second = by_method[one], by_method[other]
            means = [{seed: float(values.mean()) for seed, values in part.items()} for part in (first, second)]
            both = paired_difference(means[0], means[1]), crossed_difference(first, second, proportion=True)
            found[str(evaluation), one, other] = _written(both[0]), _written(both[1])
    return found


def _written(found: Difference | None) -> str:
    assert found is not None
    assert found.p is not None, "more than one seed"
    return f"{found.effect:+.3f} [{found.low:+.3f}, {found.high:+.3f}], p = {found.p:.3f}"


if __name__ == "__main__":
    main(sys.argv[1:])
