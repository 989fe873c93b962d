"""This machine: one process per cell, slots for cores and GPUs, time limits. The launcher of every bench by default.

A cell gets the same number of threads whatever `jobs` is, so that its numbers do not depend on what runs beside it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import wait

from harness.launchers.process import CellProcess, not_begun
from harness.plugin.hookspecs import hookimpl
from harness.plugin.launching import WEIGHTS, Assignment, Conditions
from harness.plugin.specs import LauncherSpec, NoConfig
from harness.reasons import reason_of
from harness.records import CellResult, TrainingResult

UNSTARTED = "its process could not be started (too little memory, or too many processes or open files?)"
LONGEST_WAIT = 1.0  # seconds until deadlines are looked at again


class LocalLauncher:
    """Runs cells on this machine, at most `jobs` at once; without it, as many as the cores allow."""

    def __init__(self, config: NoConfig, conditions: Conditions) -> None:
        self.conditions = conditions
        self.running: list[CellProcess] = []
        self.parts: dict[str, CellResult] = {}  # by key: of cells that an evaluation ended, and that go on

    def run(self, assignments: Sequence[Assignment], *, alone: bool) -> Generator[CellResult, None, None]:
        """Results in the order in which cells end. `alone`: one at a time, for evaluations that measure time."""
        waiting = list(assignments)
        if not waiting:
            return
        threads = waiting[0].task.cell.threads
        jobs = 1 if alone else self.conditions.jobs or max(1, cores() // threads)
        try:
            with _threads_in_environment(threads):
                while waiting or self.running:
                    while len(self.running) < jobs and (assignment := self._next(waiting)) is not None:
                        self.conditions.tell("harness_cell_started", cell=assignment.task.cell)
                        yield from self._started(assignment)
                    if self.running:
                        yield from self._finished()
        finally:
            self.stop()

    def stop(self) -> None:
        """End what runs; results that came in are the caller's already."""
        for process in self.running:
            process.kill()
        self.running = []

    def _next(self, waiting: list[Assignment]) -> Assignment | None:
        """The first task whose device is free: a GPU takes one cell at a time, the CPU as many as there are jobs."""
        busy = {process.task.cell.device for process in self.running} - {"cpu"}
        for index, assignment in enumerate(waiting):
            if assignment.task.cell.device not in busy:
                return waiting.pop(index)
        return None

    def _started(self, assignment: Assignment) -> Iterator[CellResult]:
        """Start a process; the result of a task for which there is none, by want of memory, processes or files."""
        try:
            self.running.append(self._process(assignment))
        except (OSError, EOFError) as error:
            yield self._joined(not_begun(assignment.task, f"{UNSTARTED}: {reason_of(error)}"))

    def _process(self, assignment: Assignment) -> CellProcess:
        cell, tell = assignment.task.cell, self.conditions.tell
        return CellProcess(
            assignment,
            timeout=self.conditions.timeout,
            memory=self.conditions.memory,
            log=self.conditions.logs / f"{assignment.task.key}.log",
            news=lambda stage, done, scalars: tell(
                "harness_scalars", cell=cell, stage=stage, done=done, scalars=scalars
            ),
        )

    def _finished(self) -> Iterator[CellResult]:
        """Wait for news of any cell, pass it on, and yield the results of those that ended."""
        next_deadline = min(process.deadline for process in self.running) - time.monotonic()
        signs = [sign for process in self.running for sign in process.signs]
        ready = wait(signs, timeout=max(0.0, min(LONGEST_WAIT, next_deadline)))
        for process in list(self.running):
            if process.listen(ready) or time.monotonic() > process.deadline:
                self.running.remove(process)
                result = self._joined(process.end())
                if process.left:
                    self.parts[result.key] = result
                    yield from self._started(_going_on(process, result.training))
                else:
                    yield result

    def _joined(self, result: CellResult) -> CellResult:
        """With the rows that earlier processes of the same cell gave."""
        part = self.parts.pop(result.key, None)
        return result if part is None else replace(result, evaluations=(*part.evaluations, *result.evaluations))


def _going_on(process: CellProcess, training: TrainingResult) -> Assignment:
    """What a process left that an evaluation ended: the weights that it trained are judged in a fresh one."""
    before = process.assignment
    task = replace(before.task, training=training, todo=process.left)
    if before.task.training is not None or not training.weights:
        return replace(before, task=task)
    weights = before.here.staging / WEIGHTS
    return replace(before, task=task, here=replace(before.here, checkpoint=weights, checkpoint_sum=training.weights))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _threads_in_environment(threads: int) -> Iterator[None]:
    """The pools of OpenMP and BLAS read their size when they are loaded, which is when the forkserver starts."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


@hookimpl
def harness_launcher() -> LauncherSpec:
    return LauncherSpec(name="local", build=LocalLauncher, source="own work, on Python's multiprocessing")
