"""What a launcher is, and what it is handed: a launcher runs the cells of a bench, here or on other machines.

It changes no number: the same tasks give the same results whoever carries them out, so no key knows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.records import CellResult, CellTask, Workplace

WEIGHTS = "method.safetensors"  # in the staging folder of a cell: what training gave, if the method has any weights


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """How a launcher is asked to work, said once before the first cell."""

    jobs: int | None  # cells at once; None: as many as there is room for
    timeout: float | None  # seconds that a cell may take; None: no limit
    memory: int | None = None  # bytes that a cell may hold, with all that it starts; None: no limit
    logs: Path  # a folder of this machine: what a cell prints goes to `<key>.log`
    tell: Callable[..., None]  # tell(event hook, **news): harness_cell_started and harness_scalars are the launcher's


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A task, and the workplace that this machine has for it.

    Where a cell runs here, that is its workplace. Where it runs elsewhere, the launcher sends the plugin files with the
    modules beside them that they import (`harness.registry.sources.neighbours`) and the checkpoint, makes a workplace
    of its own there, and writes what comes back, `{relative name: bytes}`, to `here.staging`. That workplace has no
    `state`, which is a file of this machine: a training that is interrupted elsewhere starts anew.
    """

    task: CellTask
    here: Workplace


class Launcher(Protocol):
    """What `LauncherSpec.build(config, conditions)` gives.

    One of another package is built and runs in a process of its own, where that is possible (Linux): what it prints is
    seen, Ctrl-C raises KeyboardInterrupt in `run`, and what it started on this machine ends with it.
    """

    def run(self, assignments: Sequence[Assignment], *, alone: bool) -> Generator[CellResult, None, None]:
        """Carry out every task and yield its result when it ends, in any order; exactly one result for each.

        When a result is yielded, the cell's weights and pictures lie in its `here.staging`. A cell whose process gave
        no result has one with the reason: `harness.outcomes.failed`. Where `alone`, evaluations measure time: nothing
        else of the bench runs on the same machine. When it is closed before its end (a bench that stops at the first
        failure, or is interrupted), it ends what runs.
        """
        ...
