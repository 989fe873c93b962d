"""A bench from request to report: plan, run what is left to do, store each cell as it ends, write the reports."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import loading
from harness.confined import is_file
from harness.execution import Execution
from harness.listening import listening
from harness.looks import Look, Looks, at, limit_of, planned_looks
from harness.options import Options, launcher_of, trackers_of
from harness.plan import Plan, make_plan
from harness.plugin.launching import Conditions, Launcher
from harness.records import CellResult, Request, Workplace
from harness.registry import Registry
from harness.rehearsal import rehearse_request
from harness.results import Results, Several, load_results
from harness.store import RunFolder
from harness.surroundings import current_folder
from harness.trials import fixed_settings, reported, trials_of
from harness.tuning import Tuning, chosen

__all__ = ["Options", "Results", "Several", "carry_out", "environment", "load_results", "slug", "write_reports"]


def carry_out(request: Request, options: Options, registry: Registry, progress: object | None = None) -> Results:
    """Plan a request, run what is left of it, and write the reports.

    `progress` is one more listener to the run's events, beside its trackers.
    """
    current_folder()
    rehearse_request(request, options, registry)
    make_launcher, make_trackers = launcher_of(options, registry), trackers_of(options, registry)
    folder = folder_of(request, options)
    trials, fixed, request = trials_of(request, registry), fixed_settings(request, registry), reported(request)
    limit = limit_of(request)
    looks = list(planned_looks(limit)) if limit else []
    plan = make_plan(_first(request, looks), registry, folder, data_dir=options.data_dir, fresh=options.fresh)
    folder.create()
    with folder.locked(), make_launcher(conditions(options, folder, registry)) as launcher:
        folder.write_looks(None)
        folder.write_tuning(None)
        listeners = {name: make(folder.path) for name, make in make_trackers.items()}
        with listening(registry, listeners | ({"the progress": progress} if progress else {})):
            run = _Run(folder, launcher, registry, options)
            if trials and not run.tune(trials, request, fixed):
                return Results(folder, (), missing=len(plan.cells))
            plan = run.plan(_first(request, looks)) if trials else plan
            results = run.carry_out(plan)
            for number, look in enumerate(looks, 1):
                taken = run.looked(look, limit, results)
                if not taken.open or len(results) < len(plan.cells) or number == len(looks):
                    break
                plan = run.plan(at(request, looks[number].seeds))
                results = run.carry_out(plan)
            run.finished()
        for log in folder.logs.glob("*.log"):
            if is_file(log) and not log.stat().st_size:
                log.unlink()
        reports = write_reports(folder)
    return Results(folder, tuple(results), missing=len(plan.cells) - len(results), reports=tuple(reports))


def folder_of(request: Request, options: Options) -> RunFolder:
    """Where the results of a request go."""
    return RunFolder(options.out or Path("runs") / slug(reported(request)))


def _first(request: Request, looks: Sequence[Look]) -> Request:
    """What is run before anything is looked at."""
    return at(request, looks[0].seeds) if looks else request


class _Run:
    """Plans carried out one after the other in one folder, by one launcher: one run for who listens."""

    def __init__(self, folder: RunFolder, launcher: Launcher, registry: Registry, options: Options) -> None:
        self.folder = folder
        self.launcher = launcher
        self.registry = registry
        self.options = options
        self.results: dict[str, CellResult] = {}  # of all plans, by key
        self.ran: set[str] = set()  # keys of the cells of these plans
        self.taken: list[Look] = []
        self.tuning: Tuning | None = None

    def plan(self, request: Request) -> Plan:
        """What is left to do; `fresh` runs nothing twice."""
        data, fresh = self.options.data_dir, self.options.fresh
        return make_plan(
            request, self.registry, self.folder, data_dir=data, fresh=fresh, ran=self.ran, tuning=self.tuning
        )

    def tune(self, trials: Request, request: Request, fixed: Sequence[tuple[str, ...]]) -> bool:
        """Run all trials and choose; what was tried is kept. False where a failure stopped it.

        Until then the folder holds no cell of the request: an interrupted choice leaves nothing that looks like one.
        """
        plan = self.plan(trials)
        results = self.carry_out(plan, reports=request)
        if len(results) < len(plan.cells):
            return False
        self.tuning = chosen(results, fixed)
        self.folder.write_tuning(self.tuning)
        return True

    def carry_out(self, plan: Plan, reports: Request | None = None) -> list[CellResult]:
        """Run a plan. reports: the request that is reported, where these cells are none of it."""
        keys = [planned.task.key for planned in plan.cells]
        self.folder.write_request(reports or plan.request, environment(self.options), [] if reports else keys)
        here, how = workplace(self.options, self.folder), self.options
        execution = Execution(
            plan,
            self.folder,
            here,
            self.launcher,
            self.registry,
            fail_fast=how.fail_fast,
            monitor=how.monitor,
            fresh=how.fresh,
            pace=how.state,
        )
        started = "harness_cells_added" if self.ran else "harness_run_started"
        self.registry.tell(started, request=plan.request, cells=plan.cells_left)
        todo = [task.cell for alone in (False, True) for task in plan.tasks(exclusive=alone)]
        self.registry.tell("harness_work_planned", todo=todo)
        self.ran |= set(keys)
        results = execution.run()
        self.results |= {} if reports else {result.key: result for result in results}
        return results

    def finished(self) -> None:
        """All plans are carried out, as far as they will be."""
        self.registry.tell("harness_run_finished", results=list(self.results.values()))

    def looked(self, look: Look, limit: int, results: Sequence[CellResult]) -> Look:
        """The look with what it left open. It is kept first, since its level is that of the tests."""
        from harness.report import open_differences

        self.folder.write_looks(Looks(limit=limit, taken=(*self.taken, look)))
        self.taken.append(replace(look, open=tuple(open_differences(results, self.folder.path))))
        self.folder.write_looks(Looks(limit=limit, taken=tuple(self.taken)))
        return self.taken[-1]


def conditions(options: Options, folder: RunFolder, registry: Registry) -> Conditions:
    return Conditions(
        jobs=options.jobs,
        timeout=options.timeout,
        memory=options.memory,
        logs=folder.logs.resolve(),
        tell=registry.tell,
    )


def workplace(options: Options, folder: RunFolder) -> Workplace:
    """What this machine has for all cells; what is a cell's own is added when it is assigned."""
    return Workplace(
        data_root=loading.data_root(options.data_dir),
        cache=loading.cache_root(),
        staging=folder.staging.resolve(),
    )


def write_reports(folder: RunFolder) -> list[Path]:
    from harness.report import build

    return build([folder], folder.path)


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
