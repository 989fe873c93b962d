"""What a user sees while cells run: a live line per running cell on a terminal, plain lines in a log.

On stderr, so that stdout stays for results. What is shown is text as it is: brackets are those of parameters.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.cli.lines import Line, folded, laid_out, news_of
from harness.cli.time_left import TimeLeft, Turn, written_seconds
from harness.plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

    from harness.records import Cell, CellResult

BETWEEN_LINES = 60.0  # seconds between two lines about a long cell, where there is no terminal
A_SECOND = 4  # times that the live display is drawn
WITHOUT_CURSOR = ("dumb", "unknown")  # values of $TERM


def progress_listener() -> object:
    """What listens to a run's events and shows them."""
    live = sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in WITHOUT_CURSOR
    return _Live() if live else _Log()


class _Progress:
    """What is known of a run: how many cells ended, what runs and how far it is."""

    def __init__(self) -> None:
        self.cells = 0
        self.ended: set[str] = set()  # by key; a cell whose timing waits for the machine ends a second time
        self.time = TimeLeft()
        self.monitored: dict[str, Mapping[str, float]] = {}  # by cell, what its monitor saw last
        self.news: dict[str, tuple[str, ...]] = {}  # by cell
        self.lock = threading.RLock()  # events come from one thread, and what shows them is another

    def started(self, cell: Cell) -> None:
        with self.lock:
            self.time.started(cell)
            self.news[str(cell)] = ("starting",)

    def heard(self, cell: Cell, stage: str, done: float, scalars: Mapping[str, float]) -> None:
        with self.lock:
            if stage == "monitor":
                self.monitored[str(cell)] = scalars
                return
            seen = self.monitored.get(str(cell), {}) if stage == "training" else {}
            self.time.heard(cell, stage, done, begins=not scalars)
            self.news[str(cell)] = news_of(stage, {**scalars, **seen})

    def finished(self, cell: Cell, result: CellResult) -> list[str]:
        """What to print about a cell that ended, in parts; nothing if that was said before."""
        with self.lock:
            self.time.ended(cell)
            self.news.pop(str(cell), None)
            if result.key in self.ended:
                return []
            self.ended.add(result.key)
            first, *rest = _summary(result)
            return [f"[{len(self.ended)}/{self.cells}] {result.cell.title}: {first}", *rest]

    @property
    def measuring(self) -> bool:
        """Have all cells ended but for their times, which are measured alone?"""
        return 0 < self.cells == len(self.ended) and bool(self.time.waiting or self.time.running)

    def lines(self) -> list[Line]:
        """One of all cells, then one of each that runs."""
        with self.lock:
            left, now = self.time.of_run(), self.time.clock()
            spent = now - (now if self.time.began is None else self.time.began)
            share = len(self.ended) / max(self.cells, 1)
            done = share if left is None or spent + left <= 0 else spent / (spent + left)
            whole = Line(
                title="all cells",
                done=done,
                left="" if left is None else written_seconds(left),
                news=(f"{len(self.ended)} of {self.cells} cells", *(("measuring times",) if self.measuring else ())),
            )
            return [whole, *map(self.line, self.time.running.values())]

    def line(self, turn: Turn) -> Line:
        left = self.time.of_cell(turn.cell)
        return Line(
            title=turn.cell.title,
            done=turn.done,
            left="" if left is None else written_seconds(left),
            news=self.news.get(str(turn.cell), ()),
        )


class _Listener:
    """Hears the events of a run; what is shown, and when, is said below."""

    def __init__(self) -> None:
        self.progress = _Progress()

    @hookimpl
    def harness_run_started(self, cells: int) -> None:
        self.progress.cells = cells

    @hookimpl
    def harness_cells_added(self, cells: int) -> None:
        self.progress.cells += cells

    @hookimpl
    def harness_work_planned(self, todo: Sequence[Cell]) -> None:
        with self.progress.lock:
            self.progress.time.add(todo)

    @hookimpl
    def harness_cell_started(self, cell: Cell) -> None:
        self.progress.started(cell)

    @hookimpl
    def harness_scalars(self, cell: Cell, stage: str, done: float, scalars: Mapping[str, float]) -> None:
        self.progress.heard(cell, stage, done, scalars)

    @hookimpl
    def harness_cell_finished(self, cell: Cell, result: CellResult) -> None:
        self.say(self.progress.finished(cell, result))

    def say(self, parts: Sequence[str]) -> None:
        """Print the parts of a line, if there are any."""


class _Log(_Listener):
    """A line when a cell ends, and one a minute about each that takes longer."""

    def __init__(self) -> None:
        super().__init__()
        self.said: dict[str, float] = {}  # by cell, when a line last told of it
        self.over = threading.Event()
        self.watch = threading.Thread(target=self._watch, daemon=True)

    @hookimpl
    def harness_cell_started(self, cell: Cell) -> None:
        super().harness_cell_started(cell)
        self.said[str(cell)] = self.progress.time.clock()
        if not self.watch.ident:
            self.watch.start()

    def say(self, parts: Sequence[str]) -> None:
        if parts:
            print(", ".join(parts), file=sys.stderr, flush=True)

    def long_ones(self) -> Iterator[str]:
        """A line for each cell of which none was said for a minute."""
        now = self.progress.time.clock()
        with self.progress.lock:
            for turn in list(self.progress.time.running.values()):
                name = str(turn.cell)
                if now - self.said.get(name, now) < BETWEEN_LINES:
                    continue
                self.said[name] = now
                line = self.progress.line(turn)
                left = f", {line.left} left" if line.left else ""
                stage, *rest = line.news or ("",)
                yield ", ".join((f"{line.title}: {stage} {line.done * 100:.0f} %", *rest)) + left

    def _watch(self) -> None:
        while not self.over.wait(1.0):
            for line in self.long_ones():
                self.say([line])

    def close(self) -> None:
        self.over.set()


class _Live(_Listener):
    """A line for the run and one for each running cell, drawn anew a few times a second."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__()
        self.console = Console(stderr=True)
        self.live = Live(
            console=self.console, get_renderable=lambda: _Drawn(self.progress.lines), refresh_per_second=A_SECOND,
            transient=True, vertical_overflow="crop",
        )  # fmt: skip

    @hookimpl
    def harness_run_started(self, cells: int) -> None:
        super().harness_run_started(cells)
        self.live.start()

    def say(self, parts: Sequence[str]) -> None:
        for line in folded(parts, self.console.width) if parts else ():
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        self.live.stop()


class _Drawn:
    """Lines as rich shows them, at the width that the terminal has when they are drawn."""

    def __init__(self, lines: Callable[[], list[Line]]) -> None:
        self.lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Text]:
        from rich.text import Text

        width = options.max_width - 1  # a full line would make some terminals begin another
        for n, (title, bar, numbers, news) in enumerate(laid_out(self.lines(), width)):
            text = Text(no_wrap=True, overflow="crop", end="\n")
            text.append(title, style="bold" if n == 0 else "")
            text.append("  ")
            full = bar.rstrip("─")
            text.append(full, style="green" if n == 0 else "cyan").append(bar[len(full) :], style="dim")
            text.append("  " if bar else "").append(numbers).append("  ").append(news, style="dim")
            text.truncate(width)
            yield text


def _summary(result: CellResult) -> list[str]:
    """How a cell ended, in parts: `trained in 3.1 s`, `linear-probe 0.942`, `knn 0.951`."""
    from harness.records import short_names

    if result.training.status != "ok":
        return [f"{result.training.status}, {result.training.reason}"]
    parts = [f"trained in {result.training.seconds:.1f} s"] if result.training.steps else ["ok"]
    called = short_names(evaluation.title for evaluation in result.evaluations)
    for evaluation in result.evaluations:
        shares = [score for score in evaluation.scores if score.primary and score.unit == "fraction"]
        if shares and evaluation.target == str(result.cell.source):
            parts.append(f"{called[evaluation.title]} {shares[0].value:.3f}")
    parts += [f"{e.title} FAILED: {e.reason}" for e in result.evaluations if e.status == "failed"]
    parts += [result.training.note] if result.training.note else []
    return parts
