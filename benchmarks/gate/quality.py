"""What the quality tier catches: changes planted in the code, trained for real, judged by `harness compare`'s own rule.

    python benchmarks/gate/quality.py run runs/quality             # trains what is missing; may be interrupted
    python benchmarks/gate/quality.py run runs/quality --only base sign-vae
    python benchmarks/gate/quality.py table runs/quality           # the table of docs/gate.md, of what is there so far

A change is a piece of text in one file of a copy of the tree, replaced once; each copy carries out the same request in
a process of its own (here.py). Repetition r of k seeds is seeds rk to rk + k - 1 of both runs, so that repetitions
share no training; the base is trained once. The test examples of digits are the same 359 in all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from harness.gate.comparing import compare
from harness.gate.findings import INCONCLUSIVE, PASS, REGRESSION, Comparison
from harness.gate.margins import Margins, parse_margins
from harness.gate.sides import Side, load_sides

ROOT = Path(__file__).resolve().parents[2]
VAE, ROTATION = "vae[decoder=mlp]", "rotation"
BACKBONE = "mlp"  # of one layer: about half a second of processor time a cell
BUDGET = "5 epochs"  # 50 steps of either method
EVALUATIONS = "knn,linear-probe,reconstruction,pretext"


@dataclass(frozen=True, kw_only=True)
class Change:
    """A piece of one file, replaced; none: the same code."""

    name: str
    title: str
    method: str = VAE
    harmful: bool = True
    file: str = ""
    old: str = ""
    new: str = ""
    backwards: bool = False  # the seeds are given from the last to the first
    ways: tuple[str, ...] = ("default",)  # of DECLARED: the margins that it is judged by, one after the other

    @property
    def planted(self) -> bool:
        return bool(self.file)


NOISE = "        z = mu + torch.randn_like(mu) * (0.5 * log_variance).exp()  # (B,L)\n"
LOSS = "        reconstruction = self._reconstruction_term(self.decoder(z), batch.inputs)\n"
CHANGES = (
    Change(name="base", title="nothing", harmful=False),
    Change(
        name="budget-vae",
        title="a fifth fewer steps than the request says (harness/clock.py)",
        file="harness/clock.py",
        old="whole_steps(budget.amount * unit_steps[budget.unit])",
        new="whole_steps(0.8 * budget.amount * unit_steps[budget.unit])",
        ways=("default", "scores alone"),
    ),
    Change(
        name="sign-vae",
        title="the divergence with a minus sign",
        file="plugins/models/vae.py",
        old="return reconstruction + self.beta_at(batch.progress) * divergence",
        new="return reconstruction - self.beta_at(batch.progress) * divergence",
    ),
    Change(
        name="mirror-vae",
        title="digits mirrored, half of them, in training",
        file="plugins/models/vae.py",
        old="        mu, log_variance = self.posterior_of(batch.inputs)\n" + NOISE + LOSS,
        new="        from harness.nn.augment import random_flip\n\n"
        "        images = random_flip(batch.inputs)\n"
        "        mu, log_variance = self.posterior_of(images)\n" + NOISE + LOSS.replace("batch.inputs", "images"),
    ),
    Change(
        name="formula-vae",
        title="the divergence by an equal formula that rounds otherwise",
        harmful=False,
        file="plugins/models/vae.py",
        old="return -0.5 * (1 + log_variance - mu.square() - log_variance.exp()).sum(1).mean()",
        new="return 0.5 * (mu.square() + log_variance.expm1() - log_variance).sum(1).mean()",
    ),
    Change(
        name="draws-vae",
        title="other random numbers: seeds derived by another word (harness/seeding.py)",
        harmful=False,
        file="harness/seeding.py",
        old="    value = derived_seed(seed, *purpose)\n",
        new='    value = derived_seed(seed, *purpose, "2")\n',
    ),
    Change(name="base-rotation", title="nothing", method=ROTATION, harmful=False),
    Change(
        name="turns-rotation",
        title="turns that are not those of the images: shuffled once more",
        method=ROTATION,
        ways=("default", "pretext told"),
        file="harness/nn/augment.py",
        old="return turned[order], labels[order]",
        new="return turned[order], labels[order.flip(0)]",
    ),
    Change(
        name="mirror-rotation",
        title="digits mirrored, half of them",
        method=ROTATION,
        ways=("default", "pretext told"),
        file="plugins/pretext/rotation.py",
        old="random_flip(batch.inputs) if self.flips else batch.inputs",
        new="random_flip(batch.inputs)",
    ),
    Change(
        name="refactor-vae",
        title="other names, and lines in another order",
        harmful=False,
        file="plugins/models/vae.py",
        old=LOSS + "        divergence = kl_from_standard_normal(mu, log_variance)\n"
        '        batch.log("reconstruction", reconstruction)\n'
        '        batch.log("divergence", divergence)\n'
        '        batch.log("active units", active_units(mu))\n'
        "        return reconstruction + self.beta_at(batch.progress) * divergence",
        new='        batch.log("active units", active_units(mu))\n'
        "        error = self._reconstruction_term(self.decoder(z), batch.inputs)\n"
        "        kl = kl_from_standard_normal(mu, log_variance)\n"
        "        weight = self.beta_at(batch.progress)\n"
        '        batch.log("divergence", kl)\n'
        '        batch.log("reconstruction", error)\n'
        "        return error + weight * kl",
    ),
    Change(name="order-vae", title="the seeds in another order", harmful=False, backwards=True),
)
BASES = {VAE: "base", ROTATION: "base-rotation"}
# Steps and examples are counts that give a smaller budget away at once: `scores alone` leaves them out. `pretext told`
# shows what is seen without the row of how well a method solves its own task.
COUNTS = [{"evaluation": "training", "score": score, "gate": False} for score in ("steps", "examples")]
DECLARED = {
    "default": Margins(),
    "scores alone": parse_margins({"margin": COUNTS}),
    "pretext told": parse_margins({"margin": [{"evaluation": "pretext", "gate": False}]}),
}


# Trainings. -----------------------------------------------------------------------------------------------------------


def changed(change: Change, text: str) -> str:
    """The text of the file with the change. Raises ValueError where what it replaces is not there once."""
    if text.count(change.old) != 1:
        raise ValueError(f"{change.name}: {change.file} holds its text {text.count(change.old)} times, not once")
    return text.replace(change.old, change.new)


def plant(change: Change, tree: Path) -> Path:
    """A copy of the code with the change, to be put on PYTHONPATH."""
    shutil.rmtree(tree, ignore_errors=True)
    leave = shutil.ignore_patterns("__pycache__")
    for folder, name in (("harness", "harness"), ("plugins", "harness_plugins")):
        shutil.copytree(ROOT / folder, tree / name, ignore=leave)
    if change.planted:
        file = tree / change.file.replace("plugins/", "harness_plugins/", 1)
        file.write_text(changed(change, file.read_text()))
    return tree


def bench(change: Change, folder: Path, seeds: Sequence[int], budget: str = BUDGET) -> Path:
    """The run of a change, as its own code makes it. What is there already is not trained again."""
    tree, run = plant(change, folder / "trees" / change.name), folder / "runs" / change.name
    words = {
        "plugins": change.method,
        "references": "none",
        "datasets": "digits",
        "backbone": BACKBONE,
        "seeds": list(reversed(seeds)) if change.backwards else list(seeds),
        "budget": budget,
        "evaluations": EVALUATIONS,
    }
    environment = {**os.environ, "PYTHONPATH": str(tree.resolve())}
    command = [sys.executable, "-P", str(Path(__file__).with_name("here.py")), str(run.resolve()), json.dumps(words)]
    subprocess.run(command, env=environment, cwd=folder, check=True)
    return run


# Judgement. -----------------------------------------------------------------------------------------------------------


def of_seeds(side: Side, seeds: Sequence[int]) -> Side:
    """The part of a run that a request of these seeds would have given."""
    return replace(side, frame=side.frame[side.frame["seed"].isin(seeds)], missing=0)


def repetitions(base: Side, candidate: Side, size: int, most: int) -> Iterator[tuple[Side, Side]]:
    """Pairs of sides of `size` seeds each that share no training, as far as both have run."""
    both = set(base.frame["seed"]) & set(candidate.frame["seed"])
    for number in range(most):
        seeds = range(size * number, size * (number + 1))
        if both.issuperset(seeds):
            yield of_seeds(base, seeds), of_seeds(candidate, seeds)


def judged(base: Path, candidate: Path, size: int, most: int, margins: Margins) -> list[Comparison]:
    """One comparison for each repetition; what is undecided is an exit code of its own."""
    sides = load_sides(base, candidate)
    return [compare(*pair, margins, policy="fail") for pair in repetitions(*sides, size, most)]


def reached(change: Change, base: Path, candidate: Path) -> bool:
    """Did the change reach the cells? Their keys hash the code, so that a planted one must give others."""
    keys = [{file.stem for file in (run / "cells").iterdir()} for run in (base, candidate)]
    return keys[0].isdisjoint(keys[1]) == change.planted


# The table. -----------------------------------------------------------------------------------------------------------

HEAD = (
    "| change | of | judged by | seeds | repetitions | caught | passed | inconclusive | worse rows | mean change, "
    "margin | seeds that would decide |"
)


def line(change: Change, size: int, by: str, found: Sequence[Comparison]) -> str:
    codes = Counter(comparison.exit_code for comparison in found)
    other = {code: n for code, n in codes.items() if code not in (PASS, REGRESSION, INCONCLUSIVE)}
    if other:
        raise ValueError(f"{change.name}: exit codes {other}, which are no verdict")
    worse = Counter(row.judged for comparison in found for row in comparison.gated("regression"))
    cells = [change.title, change.method, by, size, len(found), *(codes[c] for c in (REGRESSION, PASS, INCONCLUSIVE))]
    cells += [", ".join(f"{row} {n}" for row, n in worse.most_common()) or "none", "; ".join(effects(found))]
    return "| " + " | ".join(str(cell) for cell in (*cells, needed(found))) + " |"


def effects(found: Sequence[Comparison]) -> Iterable[str]:
    """The mean change of each gated score over the repetitions, beside its margin; nothing where all is identical."""
    rows: dict[str, list[Any]] = {}
    for comparison in found:
        for row in comparison.gated():
            if row.kind == "paired-seed" and row.change is not None:
                rows.setdefault(row.judged, []).append(row)
    for name, each in rows.items():
        mean = sum(row.change for row in each) / len(each)
        if any(row.change for row in each):
            number = f"{mean:+.4f}".replace("-", "−")
            yield f"{name} {number} (±{median(row.margin for row in each):.2g})"


def needed(found: Sequence[Comparison]) -> str:
    """The median, over the open repetitions, of the seeds that decide the row that needs most, as the rows say."""
    rows = [c.gated("inconclusive") for c in found if c.exit_code == INCONCLUSIVE]
    most = [max(row.seeds_needed or 101 for row in each) for each in rows]
    if not most:
        return ""
    return f"{median(most):.0f}" if median(most) <= 100 else "over 100"


def table(folder: Path, sizes: Sequence[int], most: int) -> str:
    lines = [HEAD, "|---|---|---|" + "---|" * (HEAD.count("|") - 4)]
    for change in sorted(CHANGES, key=lambda change: not change.harmful):
        base, candidate = (folder / "runs" / name for name in (BASES[change.method], change.name))
        if base == candidate or not all((run / "cells").is_dir() for run in (base, candidate)):
            continue
        if not reached(change, base, candidate):
            raise ValueError(f"{change.name}: the cells do not differ from the base as the change should make them")
        for size in sizes:
            for way in change.ways:
                lines.append(line(change, size, way, judged(base, candidate, size, most, DECLARED[way])))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=60, help="trainings of each change: 0 to this")
    parser.add_argument("--sizes", default="3", help="seeds of a repetition, such as 3,5")
    parser.add_argument("--repetitions", type=int, default=20, help="at most so many")
    parser.add_argument("--only", nargs="*", default=[change.name for change in CHANGES], help="of the changes")
    options = parser.parse_args()
    if options.what == "run":
        options.folder.mkdir(parents=True, exist_ok=True)
        for change in CHANGES:
            if change.name in options.only:
                bench(change, options.folder, range(options.seeds))
                print(f"{change.name}: done", flush=True)
    print(table(options.folder, [int(size) for size in options.sizes.split(",")], options.repetitions))


if __name__ == "__main__":
    main()
