"""What the kernel keeps of a process, and code of others may set: limits, timers, blocked signals, cores, umask."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Any

TIMERS = ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")


def kept() -> dict[str, Any]:
    """What `restore` makes so again; {} where the system has none of it."""
    found: dict[str, Any] = {"files": _mode_of_files()}
    if hasattr(os, "sched_getaffinity"):
        found["cores"] = os.sched_getaffinity(0)
    if hasattr(signal, "pthread_sigmask"):
        found["blocked"] = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        found["timers"] = {name: signal.getitimer(getattr(signal, name))[0] > 0 for name in TIMERS}
    if sys.platform != "win32":
        import resource

        names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
        found["limits"] = {number: resource.getrlimit(number) for number in {getattr(resource, name) for name in names}}
    return found


def restore(before: dict[str, Any], now: dict[str, Any]) -> None:
    """before, now: what `kept` gave then, and gives now."""
    os.umask(before["files"])
    if before.get("cores") != now.get("cores"):
        with suppress(OSError):
            os.sched_setaffinity(0, before["cores"])
    for name, running in before.get("timers", {}).items():
        if now["timers"][name] and not running:
            signal.setitimer(getattr(signal, name), 0)
    if before.get("blocked") != now.get("blocked"):
        signal.pthread_sigmask(signal.SIG_SETMASK, before["blocked"])
    for number, (soft, hard) in before.get("limits", {}).items():
        if now["limits"][number] != (soft, hard):
            _set_limit(number, soft, hard)


def _mode_of_files() -> int:
    """The umask, which is told by setting it alone."""
    mode = os.umask(0o077)
    os.umask(mode)
    return mode


def _set_limit(number: int, soft: int, hard: int) -> None:
    """As it was; a hard limit that was lowered only root raises, then as high as that allows."""
    import resource

    try:
        resource.setrlimit(number, (soft, hard))
    except (ValueError, OSError):
        ceiling = resource.getrlimit(number)[1]
        with suppress(ValueError, OSError):
            resource.setrlimit(number, (soft if ceiling == resource.RLIM_INFINITY else min(soft, ceiling), ceiling))
