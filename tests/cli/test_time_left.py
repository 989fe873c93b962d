"""The time that is left is told by work: what ended says what its like will take, and what runs how far it is."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from harness.cli.time_left import TimeLeft
from harness.expansion import expand
from harness.records import Cell, Request
from harness.registry import Registry


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def cells() -> dict[tuple[str, int], Cell]:
    words = Request(plugins=("vae",), references=("pixels", "random-init"), seeds=(0, 1), evaluations=("knn",))
    return {(cell.method.name, cell.seed): cell for cell in expand(words, Registry())}


def after_references(cells: dict[tuple[str, int], Cell]) -> tuple[TimeLeft, Clock]:
    """Both references of seed 0 took two seconds each; the vae of seed 0 has begun."""
    clock = Clock()
    left = TimeLeft(clock)
    left.add(cells.values())
    for name in ("pixels", "random-init"):
        left.started(cells[name, 0])
        clock.now += 2
        left.ended(cells[name, 0])
    left.started(cells["vae", 0])
    return left, clock


def test_references_say_nothing_about_methods(cells) -> None:
    left, clock = after_references(cells)
    clock.now += 3
    assert left.of_run() is None, "nobody knows yet what training takes"
    assert left.of_cell(cells["vae", 0]) is None


def test_a_training_that_runs_says_what_the_next_one_takes(cells) -> None:
    left, clock = after_references(cells)
    left.heard(cells["vae", 0], "training", 0.0)
    clock.now += 10
    left.heard(cells["vae", 0], "training", 0.1)
    assert left.of_cell(cells["vae", 0]) == 90 + 2, "nine times as much, and judging as references were judged"
    assert left.of_run() == 92 + 102 + 2 * 2


def test_a_training_that_was_interrupted_is_timed_from_where_it_goes_on(cells) -> None:
    left, clock = after_references(cells)
    left.heard(cells["vae", 0], "training", 0.6, begins=True)
    assert left.of_cell(cells["vae", 0]) is None
    clock.now += 10
    left.heard(cells["vae", 0], "training", 0.8)
    assert left.of_cell(cells["vae", 0]) == pytest.approx(10 + 2)


def test_what_ended_says_what_another_seed_takes(cells) -> None:
    left, clock = after_references(cells)
    clock.now += 200
    left.ended(cells["vae", 0])
    assert left.of_run() == 200 + 2 * 2
    left.started(cells["vae", 1])
    clock.now += 50
    assert left.of_cell(cells["vae", 1]) == 150


def test_two_at_once_take_half_the_time_and_never_less_than_the_longest(cells) -> None:
    clock = Clock()
    left = TimeLeft(clock)
    left.add(cells.values())
    for name in ("pixels", "random-init"):
        left.started(cells[name, 0])
    clock.now += 2
    for name in ("pixels", "random-init"):
        left.ended(cells[name, 0])
    left.started(cells["vae", 0])
    left.started(cells["vae", 1])
    for seed in (0, 1):
        left.heard(cells["vae", seed], "training", 0.0)
    clock.now += 10
    left.heard(cells["vae", 0], "training", 0.5)
    left.heard(cells["vae", 1], "training", 0.1)
    assert left.of_run() == max((12 + 92 + 2 + 2) / 2, 92)


def test_a_cell_that_is_timed_at_the_end_is_no_new_training(cells) -> None:
    left, clock = after_references(cells)
    left.add([])
    left.waiting.clear()
    left.ended(cells["vae", 0])
    left.add([cells["vae", 0]])
    assert left.of_run() == 0, "as the shortest that ended: here the vae, which took no time"
    clock.now += 1
    left.started(cells["vae", 0])
    assert left.running[str(cells["vae", 0])].turn == 2


def test_a_budget_of_seconds_is_known_before_it_is_spent() -> None:
    words = Request(plugins=("vae",), references=(), seeds=(0,), budget="90 s", evaluations=("none",))
    left = TimeLeft(Clock())
    left.add(expand(words, Registry()))
    assert left.of_run() == 90


def test_nothing_left_is_no_time() -> None:
    assert TimeLeft(Clock()).of_run() == 0
