"""The cells of a plan carried out by a launcher: each result is stored as it comes, timings run last and alone."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from harness.keys import as_text
from harness.outcomes import unjudged
from harness.plan import Plan, PlannedCell, combined, skipped_result
from harness.plugin.launching import Assignment, Launcher
from harness.records import PACE, CellResult, CellTask, StatePace, StatePlace, Workplace
from harness.registry import Registry
from harness.store import RunFolder, weights_sum


class Execution:
    """The state of one plan while it runs: results so far, by key."""

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        here: Workplace,
        launcher: Launcher,
        registry: Registry,
        *,
        fail_fast: bool = False,
        monitor: int = 0,
        fresh: bool = False,
        pace: StatePace = PACE,
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.here = here  # where things lie on this machine; each task gets a staging folder below, and its files
        self.launcher = launcher
        self.registry = registry  # whose plugins and listeners are told
        self.fail_fast = fail_fast
        self.monitor = monitor
        self.pace = pace
        self.fresh = fresh  # go on with no interrupted training
        self.planned: dict[str, PlannedCell] = {planned.task.key: planned for planned in plan.cells}
        self.parts: dict[str, list[CellResult]] = {}
        self.results: dict[str, CellResult] = {}

    def run(self) -> list[CellResult]:
        """Everything that is left to do. The results, in the order of the plan; fewer where a failure stopped it."""
        asked = {as_text(planned.task.identity) for planned in self.plan.cells}
        self.folder.unfinished.forget_older(asked, self.planned)
        for planned in self.plan.cells:
            if planned.state == "cached" and planned.previous is not None:
                self.folder.unfinished.forget(planned.task.key)  # the bench ended before it could
                self.results[planned.task.key] = planned.previous
            elif planned.state == "skipped":
                self.results[planned.task.key] = self.folder.save(skipped_result(planned), None)
        trainings, timings = self.plan.tasks(exclusive=False), self.plan.tasks(exclusive=True)
        if self._run(trainings, alone=False):
            self._run([task for task in map(self._trained, timings) if task is not None], alone=True)
        return [self.results[planned.task.key] for planned in self.plan.cells if planned.task.key in self.results]

    def _run(self, tasks: list[CellTask], *, alone: bool) -> bool:
        """Run tasks and store each result as it comes; False when the run is to stop."""
        assignments = {task.key: self._assignment(task, "timing" if alone else "training") for task in tasks}
        with closing(self.launcher.run(list(assignments.values()), alone=alone)) as results:
            for result in results:
                self._store(result, assignments[result.key])
                if self.fail_fast and _failed(result):
                    return False
        return True

    def _assignment(self, task: CellTask, phase: str) -> Assignment:
        known = self.results.get(task.key, self.planned[task.key].previous)
        weights = self.folder.weights(known) if task.training and known else None  # some methods have no weights
        staging = self.here.staging / f"{task.key}-{phase}"
        files = self.planned[task.key].plugin_files
        here = replace(self.here, staging=staging, plugin_files=files)
        if task.training is None:
            if self.fresh:
                self.folder.unfinished.forget(task.key)
            here = replace(
                here, state=StatePlace(file=self.folder.unfinished.file(task.key).absolute(), pace=self.pace)
            )
        if weights is not None and known is not None:
            here = replace(here, checkpoint=weights.resolve(), checkpoint_sum=weights_sum(known))
        return Assignment(task=replace(task, monitor=self.monitor), here=here)

    def _store(self, result: CellResult, assignment: Assignment) -> None:
        planned = self.planned[result.key]
        self.parts.setdefault(result.key, []).append(result)
        whole = self.folder.save(combined(planned, self.parts[result.key]), assignment.here.staging)
        self.parts[result.key] = [whole]
        self.results[result.key] = whole
        if planned.replaces:
            self.folder.discard(planned.replaces)
        self.registry.tell("harness_cell_finished", cell=result.cell, result=whole)

    def _trained(self, task: CellTask) -> CellTask | None:
        """The task with the training that its cell has by now; None, and rows that say so, where that failed."""
        result = self.results.get(task.key)
        if result is None:
            return task
        if result.training.status != "ok":
            rows = (*result.evaluations, *unjudged(task, result.training))
            self.results[task.key] = self.folder.save(replace(result, evaluations=rows), None)
            return None
        return replace(task, training=result.training)


def _failed(result: CellResult) -> bool:
    return result.training.status == "failed" or any(e.status == "failed" for e in result.evaluations)
