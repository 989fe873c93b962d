"""The process of one cell: it gets a task as JSON, tells how it goes, and sends its result back as JSON."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.records import Workplace

PROGRESS, TRAINED, RESULT = b"P", b"T", b"R"  # the first byte of a message
SECONDS_BETWEEN_NEWS = 0.2


def run_child(task: bytes, workplace: Workplace, connection: Connection, lifeline: Connection, log: Path) -> None:
    """Run one task. Whatever a plugin prints goes to the cell's log, and so does the traceback of a crash in C."""
    if hasattr(os, "setsid"):
        os.setsid()  # a group of its own, so that its children end with it
    for end in (connection, lifeline):
        os.set_inheritable(end.fileno(), False)  # what came from the forkserver is inherited by every program it starts
    _redirect_output(log)
    threading.Thread(target=_die_with_the_parent, args=(lifeline,), daemon=True).start()

    from harness.launchers.work import work

    result = work(task, workplace, _Reporter(connection), lambda training: connection.send_bytes(TRAINED + training))
    connection.send_bytes(RESULT + result)
    connection.close()


def _redirect_output(log: Path) -> None:
    import faulthandler

    log.parent.mkdir(parents=True, exist_ok=True)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    faulthandler.enable(sys.stderr)


def _die_with_the_parent(lifeline: Connection) -> None:
    """The other end closes when the parent ends, however it ends: then nobody waits for this cell and its children."""
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv_bytes()
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


class _Reporter:
    """Sends news at most a few times a second; the first and the last of a stage always."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.last = (float("-inf"), "")

    def __call__(self, stage: str, done: float, scalars: dict[str, float]) -> None:
        import json

        now = time.monotonic()
        if stage == self.last[1] and done < 1 and now - self.last[0] < SECONDS_BETWEEN_NEWS:
            return
        self.last = (now, stage)
        self.connection.send_bytes(PROGRESS + json.dumps([stage, done, scalars]).encode())
