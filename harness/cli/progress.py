"""What a user sees while cells run: a live line per running cell on a terminal, a plain line per event in a log."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from harness.records import Cell, CellResult


def progress_listener() -> object:
    """What listens to a run's events and shows them; on stderr, so that stdout stays for results."""
    return _Live() if sys.stderr.isatty() else _Log()


class _Counter:
    """How many cells ended. A cell whose timing waits for the machine ends a second time: that is no news."""

    def __init__(self) -> None:
        self.cells = 0
        self.ended: set[str] = set()

    def line(self, result: CellResult) -> str:
        """What to print about a cell that ended, or nothing if that was said before."""
        if result.key in self.ended:
            return ""
        self.ended.add(result.key)
        return f"[{len(self.ended)}/{self.cells}] {result.cell.title}: {_summary(result)}"


class _Log:
    """One line when a cell ends, nothing in between."""

    def __init__(self) -> None:
        self.counter = _Counter()

    @hookimpl
    def harness_run_started(self, cells: int) -> None:
        self.counter.cells = cells

    @hookimpl
    def harness_cells_added(self, cells: int) -> None:
        self.counter.cells += cells

    @hookimpl
    def harness_cell_finished(self, result: CellResult) -> None:
        line = self.counter.line(result)
        if line:
            print(line, file=sys.stderr, flush=True)


class _Live:
    """A bar for the run and one for each running cell: stage, loss, examples/s, time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.counter = _Counter()
        self.run: Any = None  # the bar of all cells
        self.bars: dict[str, Any] = {}
        self.monitored: dict[str, Mapping[str, float]] = {}  # by cell, what its monitor saw last
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[news]}"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            transient=True,
        )

    @hookimpl
    def harness_run_started(self, cells: int) -> None:
        self.progress.start()
        self.counter.cells = cells
        self.run = self.progress.add_task("all cells", total=max(cells, 1), news="")

    @hookimpl
    def harness_cells_added(self, cells: int) -> None:
        self.counter.cells += cells
        self.progress.update(self.run, total=max(self.counter.cells, 1))

    @hookimpl
    def harness_cell_started(self, cell: Cell) -> None:
        self.bars[str(cell)] = self.progress.add_task(cell.title, total=1.0, news="starting")

    @hookimpl
    def harness_scalars(self, cell: Cell, stage: str, done: float, scalars: Mapping[str, float]) -> None:
        if stage == "monitor":
            self.monitored[str(cell)] = scalars
            return
        seen = self.monitored.get(str(cell), {}) if stage == "training" else {}
        self.progress.update(self.bars[str(cell)], completed=done, news=_news(stage, {**scalars, **seen}))

    @hookimpl
    def harness_cell_finished(self, cell: Cell, result: CellResult) -> None:
        self.progress.remove_task(self.bars.pop(str(cell)))
        line = self.counter.line(result)
        if line:
            self.progress.console.print(line, highlight=False, markup=False)
        self.progress.update(self.run, completed=len(self.counter.ended))

    def close(self) -> None:
        self.progress.stop()


def _news(stage: str, scalars: Mapping[str, float]) -> str:
    """`training, epoch 3.2, loss 0.412, kNN accuracy 0.812, 5,120 examples/s`."""
    parts = [stage]
    if "epoch" in scalars:
        parts.append(f"epoch {scalars['epoch']:.1f}")
    if "loss" in scalars:
        parts.append(f"loss {scalars['loss']:.4g}")
    if "kNN accuracy" in scalars:
        parts.append(f"kNN accuracy {scalars['kNN accuracy']:.3f}")
    if "examples_per_second" in scalars:
        parts.append(f"{scalars['examples_per_second']:,.0f} examples/s")
    return ", ".join(parts)


def _summary(result: CellResult) -> str:
    """How a cell ended: `ok, trained in 3.1 s, linear-probe 0.942, knn 0.951`."""
    if result.training.status != "ok":
        return f"{result.training.status}, {result.training.reason}"
    parts = [f"trained in {result.training.seconds:.1f} s"] if result.training.steps else ["ok"]
    from harness.records import short_names

    called = short_names(evaluation.title for evaluation in result.evaluations)
    for evaluation in result.evaluations:
        shares = [score for score in evaluation.scores if score.primary and score.unit == "fraction"]
        if shares and evaluation.target == str(result.cell.source):
            parts.append(f"{called[evaluation.title]} {shares[0].value:.3f}")
    parts += [f"{e.title} FAILED: {e.reason}" for e in result.evaluations if e.status == "failed"]
    parts += [result.training.note] if result.training.note else []
    return ", ".join(parts)
