"""The standard streams, kept open around code of others."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

STREAMS = {"stdin": 0, "stdout": 1, "stderr": 2}


@contextmanager
def kept_open() -> Iterator[None]:
    """Where the three lead, they lead again afterwards, whether they were closed or led elsewhere."""
    copies = {number: os.dup(number) for number in STREAMS.values() if _file(number)}
    files = {number: _file(number) for number in copies}
    streams = {name: getattr(sys, name) for name in STREAMS}
    closed = {name for name, stream in streams.items() if getattr(stream, "closed", True)}
    try:
        yield
    finally:
        for number, copy in copies.items():
            if _file(number) != files[number]:
                os.dup2(copy, number)
            os.close(copy)
        for name, stream in streams.items():
            if name not in closed and stream.closed:
                _reopen(name, stream)


def _file(number: int) -> tuple[int, int] | None:
    """Which file it is; None where it is closed."""
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _reopen(name: str, stream: Any) -> None:
    """A stream object that was closed, which leaves its descriptor open."""
    mode = "r" if name == "stdin" else "w"
    with suppress(OSError):
        again = os.fdopen(STREAMS[name], mode, closefd=False, encoding="utf-8", errors="backslashreplace")
        if hasattr(stream, "reopened"):
            stream.reopened(again)
        else:
            setattr(sys, name, again)
