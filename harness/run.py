"""A bench from request to report: plan, run what is left to do, store each cell as it ends, write the reports."""

from __future__ import annotations

import hashlib
import logging
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import RequestError
from harness.plan import Plan, PlannedCell, combined, make_plan, skipped_result
from harness.records import CellResult, CellTask, Request
from harness.registry import Registry
from harness.store import RunFolder

if TYPE_CHECKING:
    from pandas import DataFrame

logger = logging.getLogger(__name__)

Listening = Callable[[Registry], AbstractContextManager[None]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a request is carried out: nothing here changes a number."""

    out: Path | None = None  # the run's folder; None: runs/<what the request is about>
    data_dir: str | None = None
    jobs: int | None = None  # cells at once; None: as many as the cores allow
    timeout: float | None = None  # seconds a cell may take
    fail_fast: bool = False  # stop at the first failed cell
    fresh: bool = False  # take nothing from an earlier run
    command: str = ""  # what the user typed, for the report

    def __post_init__(self) -> None:
        if self.jobs is not None and self.jobs < 1:
            raise RequestError(f"--jobs must be at least 1, not {self.jobs}")
        if self.timeout is not None and self.timeout <= 0:
            raise RequestError(f"--timeout is a number of seconds above 0, not {self.timeout:g}")


@dataclass(frozen=True)
class Results:
    """What a bench gave: `.frame` (one row per score), `.table()` (the ranked comparison), and a view in notebooks."""

    folder: RunFolder
    cells: tuple[CellResult, ...]
    missing: int = 0  # cells that were not run, after an interruption or --fail-fast
    reports: tuple[Path, ...] = field(default=(), repr=False)

    @cached_property
    def frame(self) -> DataFrame:
        """The tidy frame: one row per score, skipped and failed evaluations too."""
        from harness.report.frame import tidy_frame

        return tidy_frame(list(self.cells), self.folder.path.name)

    def table(self) -> DataFrame:
        """Methods x primary scores, with intervals over seeds and the gain over random-init."""
        from harness.report import table

        return table(list(self.cells))

    def _repr_html_(self) -> str:
        from harness.report import notebook_html

        return notebook_html(list(self.cells))

    @property
    def failures(self) -> list[str]:
        """One line for each cell or evaluation that failed."""
        lines = []
        for cell in self.cells:
            if cell.training.status == "failed":
                lines.append(f"{cell.cell.title}: {cell.training.reason}")
                continue
            failed = [e for e in cell.evaluations if e.status == "failed"]
            lines += [f"{cell.cell.title}: {e.evaluation} on {e.target}: {e.reason}" for e in failed]
        return lines

    @property
    def ok(self) -> bool:
        return not self.failures and not self.missing


def carry_out(request: Request, options: Options, registry: Registry, listening: Listening | None = None) -> Results:
    """Plan a request, run what is left of it, and write the reports.

    `listening(registry)` is entered for as long as cells run, with a listener to their events registered: progress.
    """
    folder = RunFolder(options.out or Path("runs") / slug(request))
    plan = make_plan(request, registry, folder, data_dir=options.data_dir, fresh=options.fresh)
    folder.create()
    with folder.locked():
        folder.write_request(request, environment(options), [planned.task.key for planned in plan.cells])
        results = _Execution(plan, folder, options, registry).run(listening or (lambda _: nullcontext()))
        reports = write_reports(folder)
    return Results(folder, tuple(results), missing=len(plan.cells) - len(results), reports=tuple(reports))


def write_reports(folder: RunFolder) -> list[Path]:
    from harness.report import build

    return build([folder], folder.path)


class _Execution:
    """The state of one bench while it runs: results so far, by key."""

    def __init__(self, plan: Plan, folder: RunFolder, options: Options, registry: Registry) -> None:
        self.plan = plan
        self.folder = folder
        self.options = options
        self.registry = registry
        self.planned: dict[str, PlannedCell] = {planned.task.key: planned for planned in plan.cells}
        self.parts: dict[str, list[CellResult]] = {}
        self.results: dict[str, CellResult] = {}

    def run(self, listening: Listening) -> list[CellResult]:
        for planned in self.plan.cells:
            if planned.state == "cached" and planned.previous is not None:
                self.results[planned.task.key] = planned.previous
            elif planned.state == "skipped":
                self.results[planned.task.key] = self.folder.save(skipped_result(planned), None)
        trainings, timings = self.plan.tasks(exclusive=False), self.plan.tasks(exclusive=True)
        with listening(self.registry):
            self.registry.tell(
                "harness_run_started", request=self.plan.request, cells=len({*_keys(trainings), *_keys(timings)})
            )
            if self._run(trainings, alone=False):
                self._run([task for task in map(self._with_weights, timings) if task is not None], alone=True)
            self.registry.tell("harness_run_finished", results=list(self.results.values()))
        return [self.results[planned.task.key] for planned in self.plan.cells if planned.task.key in self.results]

    def _run(self, tasks: list[CellTask], *, alone: bool) -> bool:
        """Run tasks and store each result as it comes; False when the run is to stop."""
        if not tasks:
            return True
        from harness.launchers.local import LocalLauncher, cores

        jobs = self.options.jobs or max(1, cores() // tasks[0].cell.threads)
        launcher = LocalLauncher(
            jobs=jobs,
            timeout=self.options.timeout,
            logs=self.folder.logs,
            tell=lambda hook, news: self.registry.tell(hook, **news),
        )
        phase = "timing" if alone else "training"
        staged = [replace(t, staging=str(self.folder.staging.resolve() / f"{t.key}-{phase}")) for t in tasks]
        for result in launcher.run(staged, alone=alone):
            self._store(result, self.folder.staging.resolve() / f"{result.key}-{phase}")
            if self.options.fail_fast and _failed(result):
                return False
        return True

    def _store(self, result: CellResult, staged: Path) -> None:
        planned = self.planned[result.key]
        self.parts.setdefault(result.key, []).append(result)
        whole = self.folder.save(combined(planned, self.parts[result.key]), staged)
        self.parts[result.key] = [whole]
        self.results[result.key] = whole
        if planned.replaces:
            self.folder.discard(planned.replaces)
        self.registry.tell("harness_cell_finished", cell=result.cell, result=whole)

    def _with_weights(self, task: CellTask) -> CellTask | None:
        """The task with the weights that its cell has by now; None, and rows that say so, where training failed."""
        result = self.results.get(task.key)
        if result is None:
            return task
        if result.training.status != "ok":
            from harness.outcomes import unjudged

            rows = (*result.evaluations, *unjudged(task, result.training))
            self.results[task.key] = self.folder.save(replace(result, evaluations=rows), None)
            return None
        checkpoint = self.folder.checkpoint(task.key).resolve()
        return replace(task, training=result.training, checkpoint=str(checkpoint))


def _keys(tasks: Iterable[CellTask]) -> list[str]:
    return [task.key for task in tasks]


def _failed(result: CellResult) -> bool:
    return result.training.status == "failed" or any(e.status == "failed" for e in result.evaluations)


def environment(options: Options) -> dict[str, Any]:
    """The machine and the command, for environment.json."""
    from harness.machine import machine, torch_version

    return {
        "command": options.command,
        "torch": torch_version(),
        "platform": sys.platform,
        **machine("cpu"),
    }


def slug(request: Request) -> str:
    """A folder name that the same request always gets: `vae-jigsaw-on-digits`."""

    def words(texts: Iterable[str]) -> str:
        return "-".join(re.sub(r"[^A-Za-z0-9.=]+", "-", text.replace("./", "")).strip("-.") for text in texts)

    name = f"{words(request.plugins) or 'references'}-on-{words(request.datasets)}"
    if len(name) <= 80:
        return name
    return f"{name[:70]}-{hashlib.blake2b(name.encode(), digest_size=4).hexdigest()}"
