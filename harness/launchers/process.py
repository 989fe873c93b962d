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
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.launchers.child import PROGRESS, TRAINED, run_child
from harness.launchers.last_words import last_words
from harness.outcomes import failed
from harness.plugin.launching import Assignment
from harness.records import CellResult, TrainingResult
from harness.store import dump_task, load_result, load_training

GRACE = 5.0  # seconds between asking a process to end and ending it
News = Callable[[str, float, dict[str, float]], None]  # (stage, fraction of it done, latest scalars)


class CellProcess:
    """The process of one cell. It is over when its result came, or when it ended without one."""

    def __init__(self, assignment: Assignment, *, timeout: float | None, log: Path, news: News) -> None:
        self.task = assignment.task
        self.timeout = timeout
        self.log = log
        self.news = news
        self.training: TrainingResult | None = None  # known as soon as training is done
        self.result: CellResult | None = None
        self._log_start = log.stat().st_size if log.exists() else 0  # an earlier run of this cell wrote what is there
        context = _context()
        self._connection, theirs = context.Pipe(duplex=False)
        lifeline, self._lifeline = context.Pipe(duplex=False)
        arguments = (dump_task(self.task), assignment.here, theirs, lifeline, log)
        self._process = context.Process(target=run_child, args=arguments, daemon=False)
        with _no_main_module():
            self._process.start()
        theirs.close()
        lifeline.close()
        self.deadline = time.monotonic() + timeout if timeout else float("inf")

    @property
    def signs(self) -> tuple[Connection, int]:
        """What `multiprocessing.connection.wait` tells news by: the pipe, and the end of the process.

        Both, since a child that the cell left behind may hold the pipe open.
        """
        return self._connection, self._process.sentinel

    def listen(self, ready: list[Any]) -> bool:
        """Take what came, given the signs that showed; True when there is nothing more to wait for."""
        if self._process.sentinel in ready:
            _end_group(self._process.pid)
            while self._connection.poll() and not self._read():
                pass
            return True
        return self._connection in ready and self._read()

    def _read(self) -> bool:
        """Take one message; True when it was the last."""
        try:
            message = self._connection.recv_bytes()
        except (EOFError, OSError):
            return True
        if message[:1] == PROGRESS:
            self.news(*json.loads(message[1:]))
            return False
        if message[:1] == TRAINED:
            self.training = load_training(message[1:])
            return False
        self.result = load_result(message[1:])
        return True

    def end(self) -> CellResult:
        """The cell's result, or the reason why there is none. Nothing of the process is left."""
        late = self.result is None and time.monotonic() > self.deadline
        if not late:
            self._process.join(GRACE)
        code = self._process.exitcode
        self.kill()
        if self.result is not None:
            return self.result
        reason = f"timed out after {self.timeout:g} s" if late else self._death(code)
        return failed(replace(self.task, training=self.training or self.task.training), reason)

    def kill(self) -> None:
        """End the process and all that it started."""
        _end_group(self._process.pid)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(GRACE)
        self._connection.close()
        self._lifeline.close()

    def _death(self, code: int | None) -> str:
        """How a process ended that sent no result, with what its log says last."""
        how = f"exit code {code}"
        if code is not None and code < 0:
            how = signal.Signals(-code).name + (" (out of memory?)" if -code == signal.SIGKILL else "")
        return f"the process died, {how}: {last_words(self.log, self._log_start)}"


def _end_group(pid: int | None) -> None:
    """End what a cell started and left in its group, which has the number of the cell's process and outlives it."""
    if pid is not None and hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


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
