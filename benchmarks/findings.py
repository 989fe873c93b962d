"""Two published findings, asked of committed suites: do late layers specialise, and does pretext accuracy say anything?

    harness bench benchmarks/suites/transfer.toml --out RUNS/transfer
    harness bench benchmarks/suites/pretext-accuracy.toml --out RUNS/pretext-accuracy
    python benchmarks/findings.py RUNS/transfer RUNS/pretext-accuracy reports/pretext/results.parquet

prints the tables and the numbers of docs/findings.md. The first asks of the copied and frozen stages of every method
how accurate a new network is on top of them, on the source itself and on other data (Yosinski et al. 2014,
arXiv:1411.1792, figure 2; one network for each source, not random halves of the classes of one). The second asks
whether the encoder that answers the pretext question better is the one whose features are better (Kolesnikov et al.
2019, arXiv:1901.09005, section 5.3).
"""

from __future__ import annotations

import sys

import pandas as pd
from scipy.stats import spearmanr

import harness
from harness.metrics.statistics import mean_interval, paired_difference

STAGES = 5
GROUPS = {
    "supervised": ("supervised",),
    "self-supervised and VAE": ("rotation", "jigsaw", "simclr", "vae"),
    "random-init": ("random-init",),
}


def main(transfer: str, accuracy: str, tasks: str) -> None:
    """Both tables, as Markdown, and what the text says besides."""
    late_layers(harness.load(transfer).frame)
    over_untrained(harness.load(transfer).frame)
    pretext_accuracy(harness.load(accuracy).frame)
    over_tasks(pd.read_parquet(tasks))


def late_layers(frame: pd.DataFrame) -> None:
    """Accuracy by how many stages are frozen; then what the last ones cost, over seeds."""
    scores = frame[frame["evaluation"].str.startswith("finetune")]
    print("| method | judged on | " + " | ".join(f"{k} frozen" for k in range(1, STAGES + 1)) + " | last less best |")
    print("|---|---|" + "--:|" * (STAGES + 1))
    for name, methods in GROUPS.items():
        for place, away in (("the source", False), ("other data", True)):
            part = scores[scores["method"].isin(methods) & ((scores["source"] != scores["target"]) == away)]
            by_seed = part.pivot_table(index="seed", columns="score", values="value")  # means over methods and pairs
            frozen = [by_seed[f"frozen_{k}"] for k in range(1, STAGES + 1)]
            cells = [f"{values.mean():.3f}" for values in frozen]
            cost = mean_interval((-by_seed["over_all_frozen"]).tolist())
            assert cost.low is not None
            print(f"| {name} | {place} | {' | '.join(cells)} | {cost.mean:+.3f} [{cost.low:+.3f}, {cost.high:+.3f}] |")
    print()


def over_untrained(frame: pd.DataFrame) -> None:
    """On other data: frozen stages against frozen random ones, and tuned ones against scratch, paired by seed."""
    scores = frame[frame["evaluation"].str.startswith("finetune") & (frame["source"] != frame["target"])]
    by_seed = {
        name: scores[scores["method"].isin(methods)].pivot_table(index="seed", columns="score", values="value")
        for name, methods in GROUPS.items()
    }
    random = by_seed.pop("random-init")
    for name, own in by_seed.items():
        pairs = {f"{k} frozen, over random ones": (own[f"frozen_{k}"], random[f"frozen_{k}"]) for k in (1, 2, STAGES)}
        pairs |= {f"{k} tuned, over scratch": (own[f"tuned_{k}"], own["scratch"]) for k in (2, STAGES)}
        pairs["lost by freezing all, over random ones"] = (own["over_all_frozen"], random["over_all_frozen"])
        for what, (one, other) in pairs.items():
            found = paired_difference(one.to_dict(), other.to_dict())
            assert found is not None
            print(f"{name}, {what}: {found.effect:+.3f} [{found.low:+.3f}, {found.high:+.3f}], p = {found.p:.3f}")
    print()


def over_tasks(frame: pd.DataFrame) -> None:
    """Over the tasks of one run on Fashion-MNIST: pretext accuracy above chance, and what its ranks say."""
    here = frame["source"].str.startswith("fashion") & frame["budget"].astype(str).str.startswith("100000 ")
    scores = frame[here & (frame["score"] == "accuracy")]
    table = scores.pivot_table(index=["method", "backbone"], columns="evaluation", values="value")
    chance = scores[scores["evaluation"] == "pretext"].groupby(["method", "backbone"])["chance"].mean()
    table = table.assign(above=(table["pretext"] - chance) / (1 - chance)).dropna(subset=["above"])
    for name in ("linear-probe", "knn"):
        found = spearmanr(table["above"], table[name])
        print(f"{len(table)} tasks: rank correlation with {name} {found.statistic:+.2f} (p = {found.pvalue:.2f})")


def pretext_accuracy(frame: pd.DataFrame) -> None:
    """For each task over encoders: pretext accuracy, probe and kNN, and how their ranks agree."""
    scores = frame[(frame["score"] == "accuracy") & frame["evaluation"].isin(["pretext", "linear-probe", "knn"])]
    table = scores.pivot_table(index=["method", "backbone"], columns="evaluation", values="value")  # over seeds
    untrained = table.loc["random-init"]
    print("| task | encoder | pretext accuracy | linear probe (over untrained) | kNN (over untrained) |")
    print("|---|---|--:|--:|--:|")
    for task in [name for name in table.index.unique("method") if name != "random-init"]:
        rows = table.loc[task].sort_values("pretext")
        for encoder, row in rows.iterrows():
            before = untrained.loc[encoder]
            judged = [f"{row[name]:.3f} ({row[name] - before[name]:+.3f})" for name in ("linear-probe", "knn")]
            print(f"| {task} | {encoder} | {row['pretext']:.3f} | {' | '.join(judged)} |")
    print()
    for task in [name for name in table.index.unique("method") if name != "random-init"]:
        rows = table.loc[task]
        for name in ("linear-probe", "knn"):
            gain = rows[name] - untrained[name]
            alike = spearmanr(rows["pretext"], rows[name]).statistic
            gained = spearmanr(rows["pretext"], gain).statistic
            print(f"{task}, {name}: rank correlation with pretext accuracy {alike:+.2f}, of its gain {gained:+.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
