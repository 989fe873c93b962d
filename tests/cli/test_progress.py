"""The live line of a cell: its latest numbers, and what its monitor saw last for as long as it trains."""

from __future__ import annotations

from harness.cli.progress import _Live, _Log
from harness.expansion import expand
from harness.records import Request
from harness.registry import Registry


def test_the_last_number_of_the_monitor_stays_in_the_line_while_a_cell_trains() -> None:
    cell = expand(Request(plugins=("rotation",), references=(), seeds=(0,)), Registry())[0]
    live = _Live()
    live.run = live.progress.add_task("all cells", news="")
    live.harness_cell_started(cell)

    def line(stage: str, done: float, **scalars: float) -> str:
        live.harness_scalars(cell, stage, done, scalars)
        return live.progress.tasks[-1].fields["news"]

    assert line("training", 0.1, loss=0.5) == "training, loss 0.5"
    live.harness_scalars(cell, "monitor", 0.2, {"kNN accuracy": 0.8123})
    assert line("training", 0.3, loss=0.4) == "training, loss 0.4, kNN accuracy 0.812"
    assert line("knn", 0.0) == "knn"


def test_cells_that_are_added_are_more_of_the_same_run() -> None:
    live = _Live()
    live.harness_run_started(cells=6)
    live.harness_cells_added(cells=4)
    live.close()
    assert [task.total for task in live.progress.tasks] == [10]
    log = _Log()
    log.harness_run_started(cells=6)
    log.harness_cells_added(cells=4)
    assert log.counter.cells == 10
