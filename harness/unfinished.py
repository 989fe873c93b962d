"""What trainings that were interrupted left in a run: `artifacts/<key>/training.state`, and how a plan speaks of it."""

from __future__ import annotations

import os
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness import state_file
from harness.cleaned import one_line
from harness.confined import inside
from harness.errors import HarnessError

ROUNDING = 1e-6  # percent: 0.29 of a budget is 29 %


class Unfinished:
    """The states of trainings in the folder of one run."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.artifacts = run / "artifacts"

    def file(self, key: str) -> Path:
        """Where the state of a cell's training is kept while it is under way."""
        return self.artifacts / key / state_file.NAME

    def words(self, key: str) -> str:
        """How far an interrupted training of the cell came, or that its state is damaged; "" where there is none."""
        if not os.path.lexists(self.file(key)):
            return ""
        try:
            done = float(self._head(key)["done"])
            return f"interrupted, at {int(100 * min(1.0, done) + ROUNDING)} %"
        except (OSError, HarnessError, KeyError, TypeError, ValueError) as error:
            why = one_line(str(getattr(error, "strerror", None) or error))
            return f"interrupted, and its state is damaged ({why}): it is trained anew"

    def forget(self, key: str) -> None:
        """Let the training of the cell begin anew."""
        folder = self.artifacts / key
        if folder.is_dir() and not folder.is_symlink():
            state_file.discard(folder / state_file.NAME)
            if not any(folder.iterdir()):
                folder.rmdir()

    def forget_older(self, asked: Container[str], keys: Container[str]) -> None:
        """Forget what was asked for in the same words, and now has another key."""
        for file in self.artifacts.glob(f"*/{state_file.NAME}"):
            key = file.parent.name
            if key not in keys:
                with suppress(OSError, HarnessError):  # none of ours, or damaged: nobody asks for it
                    if self._head(key).get("asked") in asked:
                        self.forget(key)

    def _head(self, key: str) -> dict[str, Any]:
        """Raises Outside where a link leads there, Damaged, or OSError."""
        return state_file.read_head(inside(self.run, f"artifacts/{key}/{state_file.NAME}"), key)
