"""The process of one cell: it gets a task as JSON, tells how it goes, and sends its result back as JSON."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.records import Workplace

PROGRESS, TRAINED, JUDGED, RESULT = b"P", b"T", b"E", b"R"  # the first byte of a message
SECONDS_BETWEEN_NEWS = 0.2
SAFE_PATH, OURS = "PYTHONSAFEPATH", "harness"  # set so while a cell is started: Python leaves out the current folder


@dataclass(frozen=True, kw_only=True)
class Ends:
    """A cell's ends of its pipes, and what it may use."""

    messages: Connection  # news, the training, each row and the result, from the cell
    lifeline: Connection  # nothing is ever sent on it: its other end closes when the bench ends
    verdict: Connection  # how the cell ended, from its keeper
    log: Path
    memory: int | None  # bytes that it may hold with all that it starts; None: no limit


def run_child(task: bytes, workplace: Workplace, ends: Ends) -> None:
    """Run one task. Whatever a plugin prints goes to the cell's log, and so does the traceback of a crash in C."""
    for end in (ends.messages, ends.lifeline, ends.verdict):
        os.set_inheritable(end.fileno(), False)  # what came from the forkserver is inherited by every program it starts
    if os.environ.get(SAFE_PATH) == OURS:
        del os.environ[SAFE_PATH]
    if sys.platform == "linux":
        from harness.launchers.keeper import keep

        keep(ends)
    else:
        _alone(ends)
    _speak()

    from harness.launchers.work import work

    def send(kind: bytes, content: bytes) -> None:
        ends.messages.send_bytes(kind + content)

    result = work(
        task,
        workplace,
        _Reporter(ends.messages),
        lambda training: send(TRAINED, training),
        lambda row: send(JUDGED, row),
        hand_over=True,
    )
    send(RESULT, result)
    ends.messages.close()


def _alone(ends: Ends) -> None:
    """Where no keeper is possible: a group of its own, which ends with it, and a log without bounds."""
    if hasattr(os, "setsid"):
        os.setsid()
    ends.log.parent.mkdir(parents=True, exist_ok=True)
    output = os.open(ends.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    threading.Thread(target=_die_with_the_parent, args=(ends.lifeline,), daemon=True).start()


def _speak() -> None:
    """Python's own output to where the process's goes, and the stacks of a crash in C too."""
    import faulthandler

    for name, descriptor in (("stdout", 1), ("stderr", 2)):  # a log is UTF-8 in every locale
        stream = os.fdopen(descriptor, "w", buffering=1, closefd=False, encoding="utf-8", errors="backslashreplace")
        setattr(sys, name, stream)
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
