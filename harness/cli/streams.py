"""What is printed, whoever wrote the text: nothing in it that a terminal obeys, but what draws colours and progress."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, TextIO

from harness.cleaned import cleaned

DRAWING = re.compile(r"(\x1b\[[0-9;?]*[A-Za-z]|\r)")  # colours, moves and clearing, as progress bars are drawn


class Guarded:
    """A text stream that writes `cleaned` text. A terminal gets colours and moves of the cursor too.

    All else is the stream's own.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if not text.isprintable():
            kept = DRAWING.split(text) if self._stream.isatty() else [text]
            text = "".join(part if index % 2 else cleaned(part) for index, part in enumerate(kept))
        self._stream.write(text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def reopened(self, stream: TextIO) -> None:
        """Go on with another one, since this was closed."""
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard() -> None:
    """Guard the standard streams. A character that the terminal's encoding lacks is written as `\\u2192`, no error.

    One that is closed leads nowhere: else the next file that is opened would take its place.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False, encoding="utf-8"))
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Guarded):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
            setattr(sys, name, Guarded(stream))
