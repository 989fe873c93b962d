"""Memory that a step frees stays with the process, for the next step to take.

glibc's malloc hands large pieces back to the kernel as soon as they are free, and every step faults them in again, page
by page and filled with zeros. How often depends on what lies above them on the heap, so on luck: a SimCLR step of 256
images had 6,000 to 55,000 page faults, 9 to 90 ms of its 90 to 210. Without them the whole loop is as fast as its step.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # of mallopt, in glibc's malloc.h
NEVER = 2**31 - 1  # bytes free at the top of the heap before they are handed back


def keep_freed_memory() -> bool:
    """No piece of memory of its own for a large tensor, and none handed back when it is freed; whether that was done.

    Where malloc is not glibc's (macOS, Windows, musl) nothing changes. The process keeps what its largest step took;
    `hand_back` returns it.
    """
    libc = _glibc()
    return libc is not None and bool(libc.mallopt(MMAP_MAX, 0)) and bool(libc.mallopt(TRIM_THRESHOLD, NEVER))


def hand_back() -> None:
    """Give the kernel what is free: before another kind of work begins, and before memory is measured."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
