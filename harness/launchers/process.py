"""One cell in a process of its own on this machine: started, listened to, and ended with all that it started.

Processes come from a forkserver that has torch and its like imported already (`spawn` where there is none).
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.descendants import kill_below, kill_group
from harness.last_words import ending, last_words
from harness.launchers.bounded_log import room_for_more
from harness.launchers.child import JUDGED, OURS, PROGRESS, SAFE_PATH, TRAINED, Ends, run_child
from harness.outcomes import failed, outcome
from harness.plugin.launching import Assignment
from harness.records import CellResult, CellTask, EvaluationResult, EvaluationTask, TrainingResult
from harness.store import dump_task, load_evaluation, load_result, load_training
from harness.surroundings import path_of_cells

GRACE = 5.0  # seconds between asking a process to end and ending it
News = Callable[[str, float, dict[str, float]], None]  # (stage, fraction of it done, latest scalars)


class CellProcess:
    """The process of one cell. It is over when its result came, or when it ended without one."""

    def __init__(
        self, assignment: Assignment, *, timeout: float | None, memory: int | None, log: Path, news: News
    ) -> None:
        self.assignment = assignment
        self.task = assignment.task
        self.timeout = timeout
        self.memory = memory
        self.log = log
        self.news = news
        self.training: TrainingResult | None = None  # known as soon as training is done, or was loaded
        self.rows: list[EvaluationResult] = []  # of what is judged, as it is judged
        self.result: CellResult | None = None
        self.left: tuple[EvaluationTask, ...] = ()  # once it is over: what another process can still do
        self._log_start = room_for_more(log)  # earlier runs of this cell wrote what is before
        context = _context()
        self._messages, messages = context.Pipe(duplex=False)
        lifeline, self._lifeline = context.Pipe(duplex=False)
        self._verdict, verdict = context.Pipe(duplex=False)
        ends = Ends(messages=messages, lifeline=lifeline, verdict=verdict, log=log, memory=memory)
        arguments = (dump_task(self.task), assignment.here, ends)
        self._process = context.Process(target=run_child, args=arguments, daemon=False)
        with _of_its_own():
            self._process.start()
        for end in (messages, lifeline, verdict):
            end.close()
        self.deadline = time.monotonic() + timeout if timeout else float("inf")

    @property
    def signs(self) -> tuple[Connection, int]:
        """What `multiprocessing.connection.wait` tells news by: the pipe, and the end of the process.

        Both, since a child that the cell left behind may hold the pipe open.
        """
        return self._messages, self._process.sentinel

    def listen(self, ready: list[Any]) -> bool:
        """Take what came, given the signs that showed; True when there is nothing more to wait for."""
        if self._process.sentinel in ready:
            while self._messages.poll() and not self._read():
                pass
            return True
        return self._messages in ready and self._read()

    def _read(self) -> bool:
        """Take one message; True when it was the last, or is none that a cell sends."""
        try:
            message = self._messages.recv_bytes()
            return self._take(message[:1], message[1:])
        except (EOFError, OSError, ValueError):
            return True

    def _take(self, kind: bytes, content: bytes) -> bool:
        if kind == PROGRESS:
            self.news(*json.loads(content))
        elif kind == TRAINED:
            self.training = load_training(content)
        elif kind == JUDGED:
            self.rows.append(load_evaluation(content))
        else:
            self.result = load_result(content)
        return self.result is not None

    def end(self) -> CellResult:
        """The cell's result, or what is known of it and the reason why there is no more. Nothing of it is left running.

        Where an evaluation ended the process, the row says so, and `left` are the evaluations after it.
        """
        late = self.result is None and time.monotonic() > self.deadline
        if not late:
            self._process.join(GRACE)
        verdict = self._stop()
        if self.result is not None:
            self.left = self.task.todo[len(self.result.evaluations) :]  # what it hands over to a fresh process
            return self.result
        reason = f"timed out after {self.timeout:g} s" if late else self._death(verdict)
        if self.training is None:
            return not_begun(self.task, reason)
        rest = self.task.todo[len(self.rows) :]
        self.left = rest[1:]
        ended = [outcome(todo, "failed", reason) for todo in rest[:1]]
        return CellResult.without_process(self.task, self.training, (*self.rows, *ended))

    def kill(self) -> None:
        """End the process and all that it started."""
        self._stop()

    def _stop(self) -> dict[str, Any]:
        """The end of all that runs, and how the keeper says that it came; {} where no keeper says it."""
        with contextlib.suppress(OSError):  # there is no keeper any more
            self._lifeline.send_bytes(b"end")  # said, since processes that started here meanwhile may hold this end too
        self._lifeline.close()
        if sys.platform != "linux" and self._process.pid:
            kill_group(self._process.pid)
        self._process.join(GRACE)
        if self._process.is_alive():
            kill_below(self._process.pid or 0)
            self._process.kill()
            self._process.join(GRACE)
        verdict: dict[str, Any] = {}
        with contextlib.suppress(EOFError, OSError):
            if self._verdict.poll():
                verdict = json.loads(self._verdict.recv_bytes())
        self._messages.close()
        self._verdict.close()
        return verdict

    def _death(self, verdict: dict[str, Any]) -> str:
        """How a process ended that sent no result, with what its log says last."""
        if verdict.get("memory"):
            return f"used more than {(self.memory or 0) / 1e9:g} GB of memory"
        code = verdict.get("code", self._process.exitcode)
        how = "exit code unknown" if code is None else ending(code)
        how += " (out of memory?)" if code == -signal.SIGKILL else ""
        return f"the process died, {how}: {last_words(self.log, self._log_start)}"


def not_begun(task: CellTask, reason: str) -> CellResult:
    """The result of a task whose process neither trained a method nor loaded the trained one."""
    if task.training is None:
        return failed(task, reason)
    rows = [outcome(todo, "failed", f"the trained method was not loaded: {reason}") for todo in task.todo]
    return CellResult.without_process(task, task.training, rows)


def _context() -> Any:
    """A forkserver on Linux; `spawn` elsewhere, since a fork of a process with an accelerator's runtime is unsafe."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["harness.launchers.preload"])
    return context


@contextlib.contextmanager
def _of_its_own() -> Iterator[None]:
    """Start a child without the parent's `__main__`: a cell is its task alone, and a user's script that calls
    harness.bench() at its top level must not be run again in every cell. Nor has it what plugins added to the import
    path here, and Python does not look for modules where the user happens to stand.
    """
    main, path = sys.modules["__main__"], list(sys.path)
    safe = os.environ.get(SAFE_PATH)
    sys.modules["__main__"] = ModuleType("__main__")
    sys.path[:] = path_of_cells()
    os.environ[SAFE_PATH] = safe or OURS
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        sys.path[:] = path
        if safe is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = safe
