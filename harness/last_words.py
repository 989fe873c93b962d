"""What a log says of the death of its process, in one line that a table has room for."""

from __future__ import annotations

import re
import signal
import sysconfig
from pathlib import Path

LONGEST = 200  # characters of a quoted line
TAIL = 65_536  # bytes of a log that are looked at
LOGGED = "[harness] "  # how lines of Harness in a log begin: what comes after one is about something else
CRASH = "Fatal Python error: "  # how faulthandler begins; the stacks of all threads follow
LIBRARY = sysconfig.get_path("stdlib")  # Python's own
INSTALLED = ("site-packages", "dist-packages")  # folders of installed packages, wherever they are
FRAME = re.compile(r'File "(?P<file>.+)", line (?P<line>\d+) in (?P<function>.+)')


def ending(code: int) -> str:
    """How a process ended, by its exit code as `subprocess` has it.

    >>> ending(3), ending(-11), ending(-40)
    ('exit code 3', 'SIGSEGV', 'signal 40')
    """
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:  # a real-time signal, which has no name
        return f"signal {-code}"


def last_words(log: Path, start: int = 0) -> str:
    """Where a crash in C was, or else the last line that was printed after byte `start` of the log."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(start, end - TAIL))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        text = ""
    return last_words_of(text)


def last_words_of(text: str) -> str:
    """The same of what was printed."""
    before, mark, after = text.rpartition(f"\n{LOGGED}")
    text = after.partition("\n")[2] if mark else before + after
    _, crash, stacks = text.rpartition(CRASH)
    return _crash(stacks) if crash else _last_line(text)


def _crash(stacks: str) -> str:
    """`Segmentation fault in loss (mine.py, line 37)`: the innermost Python frame of the thread that crashed."""
    what, where = _shortened(stacks.partition("\n")[0]), crash_in(stacks)
    return f"{what} in {where}" if where else what


def crash_in(stacks: str, besides: str = "") -> str:
    """`loss (mine.py, line 37)`, of stacks as faulthandler writes them; "" where there is none.

    The innermost frame that is not Python's own library, as `ctypes` and `threading` are: who called it is to be known.
    besides: the name of a file whose frames are passed over.
    """
    current = re.split(r"\n\s*\n", stacks.rpartition("Current thread")[2])[0]
    frames = [frame for frame in FRAME.finditer(current) if Path(frame["file"]).name != besides]
    frame = next((frame for frame in frames if not _is_standard(Path(frame["file"]))), next(iter(frames), None))
    return f"{frame['function']} ({Path(frame['file']).name}, line {frame['line']})" if frame else ""


def _is_standard(file: Path) -> bool:
    return file.is_relative_to(LIBRARY) and not set(INSTALLED) & set(file.parts)


def _last_line(text: str) -> str:
    return next((_shortened(line) for line in reversed(text.split("\n")) if line.strip()), "nothing in its log")


def _shortened(line: str) -> str:
    line = line.strip()
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
