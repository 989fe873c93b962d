"""The processes below this one: how much memory they hold, and their end, wherever they went.

On Linux a process can be the reaper of its orphans (prctl(2), PR_SET_CHILD_SUBREAPER): whatever leaves its group, its
session or its parent stays below it, and so can be found.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time

import psutil

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # of linux/prctl.h
LONGEST_END = 10.0  # seconds that processes may take to be gone after SIGKILL, as in a system call that hangs
BETWEEN_KILLS = 0.005  # seconds


def become_reaper() -> None:
    """Orphans below this process come to it instead of to init. Linux only."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """SIGKILL for this process when its parent, of this number, ends; at once where it has ended. Linux only."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def end_all() -> None:
    """SIGKILL for all processes below this one, until there are none; a few seconds at most."""
    until = time.monotonic() + LONGEST_END
    while time.monotonic() < until:
        try:
            reaped()
        except ChildProcessError:
            return
        kill_below(os.getpid())
        time.sleep(BETWEEN_KILLS)


def kill_below(pid: int) -> None:
    """SIGKILL, once, for all that is below a process; not for itself."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):  # gone meanwhile, or of another user
                process.kill()


def kill_group(pid: int) -> None:
    """SIGKILL for what is left of the group that a process led: the group has its number, and outlives it."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def reaped() -> dict[int, int]:
    """Wait status of each child that has ended, by its number. Raises ChildProcessError where there is no child."""
    found: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            if found:
                return found
            raise
        if pid == 0:
            return found
        found[pid] = status


def resident_below() -> int:
    """Bytes of memory that the processes below this one hold, pages that several share divided among them."""
    below = psutil.Process().children(recursive=True)
    resident = 0
    for process in below:
        with contextlib.suppress(psutil.Error):
            resident += process.memory_info().rss if len(below) == 1 else _share(process)
    return resident


def _share(process: psutil.Process) -> int:
    """Its proportional share; where the kernel does not tell that, all that it can see."""
    full = process.memory_full_info()
    return int(getattr(full, "pss", 0) or full.rss)
