"""The keeper of a cell: a small process above it that sees how it ends, and ends all that it started.

    bench  <- pipes ->  keeper  ->  cell  ->  whatever a plugin starts, in the cell's group or away from it

The keeper runs no code of a plugin, so that nothing of one can hold it up: not the interpreter's lock, a stopped
process, a full pipe. When the bench ends, however it ends, the lifeline closes, and the keeper ends the cell. When the
keeper ends, the kernel ends the cell. Linux only: elsewhere there is no way to find what left a cell's group.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, NoReturn

from harness.descendants import become_reaper, die_with, end_all, reaped, resident_below
from harness.launchers.bounded_log import BoundedLog

if TYPE_CHECKING:
    from harness.launchers.child import Ends

BETWEEN_LOOKS = 0.2  # seconds between looks at the memory, where there is a limit
LONGEST_WAIT = 1.0  # seconds until orphans that ended are taken off the process table
ONE_READ = 1 << 16  # bytes


class _Ended(Exception):
    """SIGTERM came."""


def keep(ends: Ends) -> None:
    """Go on as the cell, in a new process with a session of its own; the caller's process becomes its keeper.

    This returns in the cell, with its output led to the keeper, which writes it to the log. In the keeper it never
    returns: when all is over it tells the verdict, JSON of {"code": exit code or minus the signal, null where
    the cell was ended, "memory": true where it held more than it may}.
    """
    os.setsid()
    become_reaper()
    output, theirs = os.pipe()
    keeper, cell = os.getpid(), os.fork()
    if cell:
        os.close(theirs)
        ends.messages.close()
        _watch(cell, ends, output)
    os.setsid()
    die_with(keeper)
    os.dup2(theirs, 1)
    os.dup2(theirs, 2)
    for descriptor in (output, theirs):
        os.close(descriptor)
    for end in (ends.lifeline, ends.verdict):
        end.close()


def _watch(cell: int, ends: Ends, output: int) -> NoReturn:
    """Until the cell ends, or is to end; then end all that is below, tell how it went, and leave."""
    told: dict[str, int | bool | None] = {"code": None, "memory": False}
    log = BoundedLog(ends.log)
    try:
        _ignore_the_terminal()
        told = _until_the_end(cell, ends, output, log)
    except _Ended:
        log.write(b"\nthe keeper of the cell got SIGTERM\n")
    except Exception:
        log.write(traceback.format_exc().encode())
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        end_all()
        _rest(output, log)
        log.close()
        with contextlib.suppress(OSError):  # nobody listens any more
            ends.verdict.send_bytes(json.dumps(told).encode())
        os._exit(0)


def _ignore_the_terminal() -> None:
    def ended(*_: object) -> None:
        raise _Ended

    for name in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(name, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, ended)


def _until_the_end(cell: int, ends: Ends, output: int, log: BoundedLog) -> dict[str, int | bool | None]:
    over = _looker(ends.memory)
    end = _end_of(cell)
    signs: list[Connection | int] = [ends.lifeline, output, *end]
    while True:
        ready = wait(signs, timeout=BETWEEN_LOOKS if ends.memory or not end else LONGEST_WAIT)
        if output in ready:
            data = os.read(output, ONE_READ)
            log.write(data)
            if not data:  # the cell has closed its output: it may go on all the same
                signs.remove(output)
        if ends.lifeline in ready:
            return {"code": None, "memory": False}
        ended = reaped()
        if cell in ended:
            return {"code": os.waitstatus_to_exitcode(ended[cell]), "memory": False}
        if over():
            return {"code": None, "memory": True}


def _end_of(cell: int) -> list[int]:
    """A descriptor that shows the end of a process; none on a kernel that has no such thing: then time shows it."""
    try:
        return [os.pidfd_open(cell)]  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return []


def _looker(memory: int | None) -> Callable[[], bool]:
    """Does the cell, with all that it started, hold more than this many bytes? Asked often, it looks now and then."""
    next_look = 0.0

    def over() -> bool:
        nonlocal next_look
        if memory is None or time.monotonic() < next_look:
            return False
        next_look = time.monotonic() + BETWEEN_LOOKS
        return resident_below() > memory

    return over


def _rest(output: int, log: BoundedLog) -> None:
    """What is still in the pipe; nobody is left to write more, or to be waited for."""
    os.set_blocking(output, False)
    with contextlib.suppress(BlockingIOError):
        while data := os.read(output, ONE_READ):
            log.write(data)
