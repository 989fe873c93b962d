"""A launcher of others: what it raises, and what it gives in the place of results, ends the bench in one line.

It runs in the bench itself, since it hands on what cells tell while they run: what ends the process ends the bench.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing

from harness.errors import BrokenPlugin, HarnessError
from harness.plugin.launching import Assignment, Launcher
from harness.reasons import reason_of
from harness.records import CellResult

KEPT = "what is finished is kept, and the same command goes on from there"


class StrangeLauncher:
    """Carries out tasks by a launcher of others; `title` is what messages call it."""

    def __init__(self, title: str, launcher: Launcher) -> None:
        if not callable(getattr(launcher, "run", None)):
            raise BrokenPlugin(f"{title} cannot start: build gave a {type(launcher).__name__}, expected one with run()")
        self.title = title
        self.launcher = launcher

    def run(self, assignments: Sequence[Assignment], *, alone: bool) -> Generator[CellResult, None, None]:
        """The results of the tasks, each once. Raises BrokenPlugin for what is none, and for what it raises."""
        asked = {assignment.task.key for assignment in assignments}
        try:
            with closing(self.launcher.run(assignments, alone=alone)) as results:
                for result in results:
                    if not isinstance(result, CellResult):
                        found = type(result).__name__
                        raise BrokenPlugin(f"{self.title} gave a {found}, expected a CellResult; {KEPT}")
                    if result.key not in asked:
                        raise BrokenPlugin(f"{self.title} gave a second result, or one that nobody asked for; {KEPT}")
                    asked.remove(result.key)
                    yield result
        except HarnessError:
            raise
        except (Exception, SystemExit) as error:
            raise BrokenPlugin(f"{self.title} failed: {reason_of(error)}; {KEPT}") from error
