"""What a log says of the death of its process, in one line that a table has room for."""

from __future__ import annotations

import re
from pathlib import Path

LONGEST = 200  # characters of a quoted line
TAIL = 65_536  # bytes of a log that are looked at
CRASH = "Fatal Python error: "  # how faulthandler begins; the stacks of all threads follow
FRAME = re.compile(r'File "(?P<file>.+)", line (?P<line>\d+) in (?P<function>.+)')


def last_words(log: Path, start: int = 0) -> str:
    """Where a crash in C was, or else the last line that was printed after byte `start` of the log."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(start, end - TAIL))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        text = ""
    _, crash, stacks = text.rpartition(CRASH)
    return _crash(stacks) if crash else _last_line(text)


def _crash(stacks: str) -> str:
    """`Segmentation fault in loss (mine.py, line 37)`: the innermost Python frame of the thread that crashed."""
    what = _shortened(stacks.partition("\n")[0])
    current = re.split(r"\n\s*\n", stacks.partition("Current thread")[2])[0]
    frame = FRAME.search(current)
    if frame is None:
        return what
    return f"{what} in {frame['function']} ({Path(frame['file']).name}, line {frame['line']})"


def _last_line(text: str) -> str:
    return next((_shortened(line) for line in reversed(text.split("\n")) if line.strip()), "nothing in its log")


def _shortened(line: str) -> str:
    line = line.strip()
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
