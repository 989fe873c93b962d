"""The contract of launchers, check by check, on real cells that take a second: references on the bundled digits."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from harness import loading
from harness.contract.requirements import require
from harness.plugin.launching import Assignment, Conditions
from harness.plugin.specs import LauncherSpec
from harness.records import Budget, Cell, CellTask, PluginRef, TrainConfig, Workplace
from harness.strange_launcher import strange_launcher

TIMEOUT = 300.0  # seconds; a busy machine takes long to start its first process
METHODS = ("random-init", "no-such-method")  # the second fails, in the words of its cell


@dataclass(frozen=True)
class LauncherCase:
    spec: LauncherSpec
    config: Any
    told: list[tuple[str, Cell]] = field(default_factory=list)

    @contextmanager
    def assignments(self) -> Iterator[list[Assignment]]:
        """One task for each method, in a folder that is thrown away."""
        with tempfile.TemporaryDirectory(prefix="harness-check-") as folder:
            yield [_assignment(name, Path(folder)) for name in METHODS]

    def run(self, assignments: list[Assignment]) -> dict[str, Any]:
        """The launcher's results by key."""
        logs = assignments[0].here.staging.parent / "logs"
        conditions = Conditions(jobs=1, timeout=TIMEOUT, logs=logs, tell=self.tell)
        build = partial(self.spec.build, self.config)
        with closing(strange_launcher(f"launcher '{self.spec.name}'", build, conditions)) as launcher:
            found = list(launcher.run(assignments, alone=False))
        keys = [result.key for result in found]
        require(
            sorted(keys) == sorted(METHODS), f"it gave results for {keys}, expected one for each of {list(METHODS)}"
        )
        return dict(zip(keys, found, strict=True))

    def tell(self, hook: str, **news: Any) -> None:
        self.told.append((hook, news["cell"]))


def carries_out_tasks(case: LauncherCase) -> str:
    """One result for each task; a cell that fails is a result too, and what a cell wrote comes home."""
    with case.assignments() as assignments:
        results = case.run(assignments)
        good, bad = (results[name].training for name in METHODS)
        weights = assignments[0].here.staging / "method.safetensors"
        require(good.status == "ok", f"{METHODS[0]} is {good.status}: {good.reason}")
        require(weights.is_file(), "the weights of a trained cell are not in here.staging when its result comes")
        require(bad.status == "failed" and METHODS[1] in bad.reason, f"{METHODS[1]} is {bad.status}: '{bad.reason}'")
    return f"{len(results)} tasks"


def tells_of_its_cells(case: LauncherCase) -> str:
    with case.assignments() as assignments:
        case.run(assignments)
    started = [cell.method.name for hook, cell in case.told if hook == "harness_cell_started"]
    require(set(started) == set(METHODS), f"harness_cell_started was told of {started}, expected {list(METHODS)}")
    return ", ".join(sorted({hook for hook, _ in case.told}))


def _assignment(method: str, folder: Path) -> Assignment:
    digits = PluginRef(name="digits")
    cell = Cell(
        method=PluginRef(name=method),
        kind="reference",
        backbone=PluginRef(name="mlp"),
        source=digits,
        targets=(digits,),
        evaluations=(),
        device="cpu",
        precision="fp32",
        seed=0,
        budget=Budget(amount=0, unit="steps"),
        train=TrainConfig(),
    )
    task = CellTask(key=method, cell=cell, identity={}, provenance={}, todo=())
    here = Workplace(data_root=loading.data_root(), cache=loading.cache_root(), staging=folder / method)
    return Assignment(task=task, here=here)


CHECKS = (carries_out_tasks, tells_of_its_cells)
