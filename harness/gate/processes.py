"""What processes of either version share: an environment without the paths of this one, and what came of them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.descendants import kill_below, kill_group
from harness.errors import HarnessError, RequestError
from harness.last_words import ending, last_words

OF_THIS_PROCESS = ("PYTHONPATH", "PYTHONHOME")  # would show the code of this version to another


class Unanswered(HarnessError):
    """A process that ended, or was ended, without an answer."""


class Script:
    """A process that writes its answer to a file, as JSON. Its group is its own, and its errors are in a log.

    It runs code of plugins, so it may crash, hang, or leave processes behind: watched is the process, and not a pipe.
    """

    def __init__(self, command: Sequence[str], out: Path, folder: Path) -> None:
        self.out = out
        self.log = out.with_suffix(".log")
        out.unlink(missing_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={**clean_environment(), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    def answer(self, seconds: float) -> Any:
        """Wait for it. Raises RequestError with what it says of its request, and Unanswered."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Unanswered(f"its process gave no answer in {seconds:g} s") from None
        finally:
            self.end()
        if code == 2:
            raise RequestError(last_line(self.log.read_text(encoding="utf-8", errors="replace")))
        if code == 0 and self.out.exists():
            return json.loads(self.out.read_text(encoding="utf-8"))
        raise Unanswered(f"its process ended without an answer, {ending(code)}: {last_words(self.log)}")

    def end(self) -> None:
        """Nothing of its group is left, and of what is below it."""
        if self.process.poll() is None:
            kill_below(self.process.pid)
            self.process.kill()
            self.process.wait()
        kill_group(self.process.pid)


def clean_environment() -> dict[str, str]:
    """That of this process, but for what says where Python finds code."""
    return {key: value for key, value in os.environ.items() if key not in OF_THIS_PROCESS}


def last_line(text: str) -> str:
    """The last words of what was printed.

    >>> last_line("Traceback\\n  ...\\nValueError: no\\n\\n")
    'ValueError: no'
    """
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
