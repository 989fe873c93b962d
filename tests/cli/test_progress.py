"""What is shown while cells run: latest numbers, what a monitor saw last, a line a minute where nobody watches."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from harness.cli.progress import _Drawn, _Live, _Log, _Progress, progress_listener
from harness.expansion import expand
from harness.records import Cell, CellResult, Request, TrainingResult
from harness.registry import Registry


def cells(plugins: str = "rotation", **words: object) -> list[Cell]:
    return expand(Request(plugins=(plugins,), references=(), seeds=(0,), **words), Registry())  # type: ignore[arg-type]


def ended(cell: Cell) -> CellResult:
    training = TrainingResult(status="ok", steps=3, seconds=1.5)
    return CellResult(key=str(cell), cell=cell, identity={}, provenance={}, training=training)


def drawn(progress: _Progress, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(_Drawn(progress.lines))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_the_last_number_of_the_monitor_stays_in_the_line_while_a_cell_trains() -> None:
    (cell,) = cells()
    live = _Live()
    live.harness_cell_started(cell)

    def line(stage: str, done: float, **scalars: float) -> str:
        live.harness_scalars(cell, stage, done, scalars)
        return ", ".join(live.progress.lines()[-1].news)

    assert line("training", 0.1, loss=0.5) == "training, loss 0.5"
    live.harness_scalars(cell, "monitor", 0.2, {"kNN accuracy": 0.8123})
    assert line("training", 0.3, loss=0.4) == "training, kNN accuracy 0.812, loss 0.4"
    assert line("knn", 0.0) == "knn"


def test_cells_that_are_added_are_more_of_the_same_run() -> None:
    for listener in (_Live(), _Log()):
        listener.harness_run_started(cells=6)
        listener.harness_cells_added(cells=4)
        listener.close()
        assert listener.progress.cells == 10


def test_two_settings_of_a_sweep_are_told_apart_at_80_columns() -> None:
    progress = _Progress()
    for cell in cells("vae[latent_dim=8|64]"):
        progress.started(cell)
        progress.heard(cell, "training", 0.25, {"epoch": 3.2, "loss": 0.41, "examples_per_second": 5120})
    lines = drawn(progress, 80)
    assert [line[:20].strip() for line in lines] == ["all cells", "vae[latent_dim=8] on", "vae[latent_dim=64] o"]
    assert all(len(line) < 80 for line in lines)
    assert all("25 %" in line for line in lines[1:])


def test_a_cell_that_ended_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    (cell,) = cells()
    log = _Log()
    log.harness_run_started(cells=1)
    for _ in range(2):  # training, and timing at the end
        log.harness_cell_started(cell)
        log.harness_cell_finished(cell, ended(cell))
    log.close()
    assert capsys.readouterr().err == "[1/1] rotation on digits, seed 0: trained in 1.5 s\n"


def test_a_long_cell_is_told_of_once_a_minute_without_a_terminal() -> None:
    (cell,) = cells("vae[beta=4]")
    now = [0.0]
    log = _Log()
    log.progress.time.clock = lambda: now[0]
    log.watch.run = lambda: None  # type: ignore[method-assign]
    log.harness_cell_started(cell)
    log.harness_scalars(cell, "training", 0.0, {})
    now[0] = 59
    assert list(log.long_ones()) == []
    now[0] = 60
    log.harness_scalars(cell, "training", 0.5, {"epoch": 2.0, "loss": 0.5})
    assert list(log.long_ones()) == ["vae[beta=4.0] on digits, seed 0: training 50 %, epoch 2.0, loss 0.5, 1:00 left"]
    assert list(log.long_ones()) == []
    now[0] = 120
    assert len(list(log.long_ones())) == 1
    log.harness_cell_finished(cell, ended(cell))
    now[0] = 500
    assert list(log.long_ones()) == []


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress_listener(), _Log)
