"""How long a run goes on: what each cell that is left will probably take, by those of its kind that ended or run.

Counting cells is no guess: references end in seconds, methods take minutes. So a cell takes what other seeds of it
took; else what others took that train as it does, of those that run as far as they are; else nobody knows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from statistics import fmean

from harness.records import Cell

TRAINING = "training"  # the stage that a budget is spent in

Sort = tuple[bool, int]  # does it train, and which turn of a cell is it


@dataclass
class Turn:
    """A cell that runs: its first turn trains and judges, a second one measures times."""

    cell: Cell
    turn: int
    began: float
    stage: str = ""
    stage_began: float = 0.0
    done: float = 0.0  # of the stage
    before: float = 0.0  # of the stage, by an earlier bench that was interrupted

    @property
    def sort(self) -> Sort:
        return (trains(self.cell), self.turn)


@dataclass
class TimeLeft:
    """Told what the listeners of a run are told; asked for seconds."""

    clock: Callable[[], float] = time.monotonic
    waiting: dict[tuple[str, int], Cell] = field(default_factory=dict)
    running: dict[str, Turn] = field(default_factory=dict)
    took: dict[tuple[str, int], list[float]] = field(default_factory=dict)  # seconds, by setting and turn
    sorts: dict[Sort, list[float]] = field(default_factory=dict)
    judging: dict[Sort, list[float]] = field(default_factory=dict)  # seconds after training
    turns: dict[str, int] = field(default_factory=dict)  # that each cell has had, or has in front of it
    slots: dict[int, int] = field(default_factory=dict)  # cells that ran at once, by turn
    began: float | None = None  # when the first of them did

    def add(self, todo: Iterable[Cell]) -> None:
        """Cells that will run; one that is named twice runs twice."""
        ahead: dict[str, int] = {}
        for cell in todo:
            name = str(cell)
            ahead[name] = ahead.get(name, self.turns.get(name, 0)) + 1
            self.waiting[name, ahead[name]] = cell

    def started(self, cell: Cell) -> None:
        name = str(cell)
        turn = self.turns[name] = self.turns.get(name, 0) + 1
        self.waiting.pop((name, turn), None)
        self.running[name] = Turn(cell, turn, self.clock())
        self.began = self.running[name].began if self.began is None else self.began
        at_once = sum(other.turn == turn for other in self.running.values())
        self.slots[turn] = max(self.slots.get(turn, 1), at_once)

    def heard(self, cell: Cell, stage: str, done: float, *, begins: bool = False) -> None:
        """A cell is so far in a stage. begins: it has done nothing of that since it was started."""
        turn = self.running.get(str(cell))
        if turn is None:
            return
        if stage != turn.stage:
            turn.stage, turn.stage_began = stage, self.clock()
            turn.before = done if begins else 0.0
        turn.done = done

    def ended(self, cell: Cell) -> None:
        turn = self.running.pop(str(cell), None)
        if turn is None:
            return
        seconds = self.clock() - turn.began
        self.took.setdefault((setting(cell), turn.turn), []).append(seconds)
        self.sorts.setdefault(turn.sort, []).append(seconds)
        if not trains(cell):
            self.judging.setdefault((True, turn.turn), []).append(seconds)  # that is all it did

    def of_cell(self, cell: Cell) -> float | None:
        """Seconds until a running cell ends; None where nothing tells."""
        turn = self.running.get(str(cell))
        if turn is None:
            return None
        now = self.clock()
        if turn.stage == TRAINING and turn.done > turn.before:
            spent = now - turn.stage_began
            return spent * (1 - turn.done) / (turn.done - turn.before) + self._judging(turn.sort)
        whole = self._expected(cell, turn.turn, guess=False)
        return None if whole is None else max(0.0, whole - (now - turn.began))

    def of_run(self) -> float | None:
        """Seconds until all cells ended; None while it cannot be told."""
        total = 0.0
        for turn in {turn for _, turn in self.waiting} | {one.turn for one in self.running.values()}:
            running = [self.of_cell(one.cell) for one in self.running.values() if one.turn == turn]
            waiting = [self._expected(cell, at) for (_, at), cell in self.waiting.items() if at == turn]
            known = [seconds for seconds in (*running, *waiting) if seconds is not None]
            if len([s for s in waiting if s is not None]) < len(waiting) or (running and None in running):
                return None
            total += max([sum(known) / self.slots.get(turn, 1), *(s for s in running if s is not None)])
        return total

    def _expected(self, cell: Cell, turn: int, *, guess: bool = True) -> float | None:
        """Seconds that a turn of a cell takes. guess: by a running one of its sort, where none ended."""
        alike = self.took.get((setting(cell), turn)) or self.sorts.get((trains(cell), turn))
        if alike:
            return fmean(alike)
        if turn > 1:  # its data are loaded and something is measured: as the shortest of the first turns
            first = [seconds for (_, at), many in self.took.items() if at == 1 for seconds in many]
            return min(first, default=None)
        if not guess:
            return None
        projected = [whole for one in self.running.values() if (whole := self._projected(one, cell)) is not None]
        if projected:
            return fmean(projected)
        if cell.budget is not None and cell.budget.unit == "seconds":
            return cell.budget.amount + self._judging((True, turn))
        return None

    def _projected(self, one: Turn, cell: Cell) -> float | None:
        """The whole time of a running turn, where it is of the same sort as the first turn of a cell."""
        left = self.of_cell(one.cell) if one.sort == (trains(cell), 1) else None
        return None if left is None else self.clock() - one.began + left

    def _judging(self, sort: Sort) -> float:
        return fmean(self.judging.get(sort, [0.0]))


def trains(cell: Cell) -> bool:
    """Does it spend a budget?"""
    return cell.budget is not None and cell.budget.amount > 0


def setting(cell: Cell) -> str:
    """A cell but for its seed."""
    return str(replace(cell, seed=0))


def written_seconds(seconds: float) -> str:
    """`0:07`, `12:30`, `3:05:00`.

    >>> written_seconds(7.4), written_seconds(750), written_seconds(11100)
    ('0:07', '12:30', '3:05:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
