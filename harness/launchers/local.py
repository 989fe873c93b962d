"""The embedded launcher: one process per cell, slots for cores and GPUs, time limits, and nothing that one cell can
do to another.

Processes come from a forkserver that has torch and its like imported already (`spawn` where there is none). A cell
gets the same number of threads whatever `jobs` is, so that its numbers do not depend on what runs beside it.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.launchers.child import PROGRESS, TRAINED, run_child
from harness.outcomes import unjudged
from harness.records import CellResult, CellTask, TrainingResult
from harness.store import dump_task, load_result, load_training

News = Callable[[str, Mapping[str, Any]], None]  # (name of an event hook, its arguments)
GRACE = 5.0  # seconds between asking a process to end and ending it


@dataclass
class _Running:
    task: CellTask
    process: Any
    connection: Connection
    lifeline: Connection
    deadline: float
    training: TrainingResult | None = None  # known as soon as training is done
    result: CellResult | None = None


class LocalLauncher:
    """Runs tasks on this machine, at most `jobs` at once."""

    def __init__(self, *, jobs: int, timeout: float | None, logs: Path, tell: News) -> None:
        self.jobs = jobs
        self.timeout = timeout
        self.logs = logs.resolve()
        self.tell = tell
        self.running: list[_Running] = []

    def run(self, tasks: Sequence[CellTask], *, alone: bool = False) -> Iterator[CellResult]:
        """Results in the order in which cells end. `alone`: one at a time, for evaluations that measure time."""
        waiting = list(tasks)
        if not waiting:
            return
        jobs = 1 if alone else self.jobs
        try:
            with _threads_in_environment(waiting[0].cell.threads):
                context = _context()
                while waiting or self.running:
                    while len(self.running) < jobs and (task := self._next(waiting)) is not None:
                        self.running.append(self._start(context, task))
                    yield from self._finished()
        finally:
            self.stop()

    def stop(self) -> None:
        """End what runs; results that came in are the caller's already."""
        for running in self.running:
            _kill(running.process)
        self.running = []

    def _next(self, waiting: list[CellTask]) -> CellTask | None:
        """The first task whose device is free: a GPU takes one cell at a time, the CPU as many as there are jobs."""
        busy = {running.task.cell.device for running in self.running if running.task.cell.device != "cpu"}
        for index, task in enumerate(waiting):
            if task.cell.device not in busy:
                return waiting.pop(index)
        return None

    def _start(self, context: Any, task: CellTask) -> _Running:
        ours, theirs = context.Pipe(duplex=False)
        lifeline_end, lifeline = context.Pipe(duplex=False)
        arguments = (dump_task(task), theirs, lifeline_end, str(self.log(task.key)))
        process = context.Process(target=run_child, args=arguments, daemon=False)
        with _no_main_module():
            process.start()
        theirs.close()
        lifeline_end.close()
        self.tell("harness_cell_started", {"cell": task.cell})
        deadline = time.monotonic() + self.timeout if self.timeout else float("inf")
        return _Running(task, process, ours, lifeline, deadline)

    def log(self, key: str) -> Path:
        return self.logs / f"{key}.log"

    def _finished(self) -> Iterator[CellResult]:
        """Wait for news of any cell, pass it on, and yield the results of those that ended."""
        next_deadline = min(running.deadline for running in self.running) - time.monotonic()
        ready = wait([running.connection for running in self.running], timeout=max(0.0, min(1.0, next_deadline)))
        for running in list(self.running):
            late = time.monotonic() > running.deadline
            if self._read(running) if running.connection in ready else late:
                self.running.remove(running)
                yield self._end(running)

    def _read(self, running: _Running) -> bool:
        """Take one message; True when it was the last."""
        try:
            message = running.connection.recv_bytes()
        except (EOFError, OSError):
            return True
        if message[:1] == PROGRESS:
            stage, done, scalars = json.loads(message[1:])
            news = {"cell": running.task.cell, "stage": stage, "done": done, "scalars": scalars}
            self.tell("harness_scalars", news)
            return False
        if message[:1] == TRAINED:
            running.training = load_training(message[1:])
            return False
        running.result = load_result(message[1:])
        return True

    def _end(self, running: _Running) -> CellResult:
        late = running.result is None and time.monotonic() > running.deadline
        if late:
            _kill(running.process)
        running.process.join(GRACE)
        if running.process.is_alive():
            _kill(running.process)
        running.connection.close()
        running.lifeline.close()
        if running.result is not None:
            return running.result
        reason = f"timed out after {self.timeout:g} s" if late else self._death(running)
        return failed(replace(running.task, training=running.training or running.task.training), reason)

    def _death(self, running: _Running) -> str:
        """How a process ended that sent no result, with the last line of its log."""
        code = running.process.exitcode
        how = f"exit code {code}"
        if code is not None and code < 0:
            how = signal.Signals(-code).name + (" (out of memory?)" if -code == signal.SIGKILL else "")
        log = self.log(running.task.key)
        lines = log.read_text(errors="replace").split("\n") if log.exists() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing in its log")
        return f"the process died, {how}: {last}"


def failed(task: CellTask, reason: str) -> CellResult:
    """The result of a cell whose process gave none; what is known of its training is kept."""
    training = task.training or TrainingResult(status="failed", reason=reason)
    rows = unjudged(task, TrainingResult(status="failed", reason=reason))
    return CellResult.without_process(task, training, rows)


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _context() -> Any:
    """A forkserver on Linux; `spawn` elsewhere, since a fork of a process with an accelerator's runtime is unsafe."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["harness.launchers.preload"])
    return context


@contextlib.contextmanager
def _no_main_module() -> Iterator[None]:
    """Start a child without the parent's `__main__`: a cell is its task alone, and a user's script that calls
    harness.bench() at its top level must not be run again in every cell.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


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


def _kill(process: Any) -> None:
    """End a cell's process and all that it started."""
    if process.pid is None or not process.is_alive():
        return
    with contextlib.suppress(ProcessLookupError, PermissionError, OSError):
        if hasattr(os, "killpg") and os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join(GRACE)
