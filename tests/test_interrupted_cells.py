"""Whole cells whose bench, or whose own process, is killed in mid-training: the plan says so, and they go on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from killed import Benches, is_alive, states, wait

from harness import outcomes, state_file
from harness.cli.bench import _print_plan
from harness.execution import Execution
from harness.plan import Plan, make_plan
from harness.records import TrainingResult
from harness.registry import Registry
from harness.run import Options, workplace
from harness.store import RunFolder
from harness.suite import make_request

HELD = Path(__file__).with_name("held.py")


@pytest.fixture(scope="module")
def benches() -> Iterator[Benches]:
    found = Benches()
    yield found
    found.close()


def words(methods: str, dataset: str = "digits", **more: Any) -> dict[str, Any]:
    asked = {"plugins": methods, "datasets": dataset, "seeds": 1, "budget": "40 steps", "references": "none"}
    return {**asked, "evaluations": "knn", **more}


@pytest.fixture
def held(tmp_path: Path) -> tuple[Path, str]:
    """A file, and a method that waits at 40 % of its budget as long as that is there."""
    until = tmp_path / "until"
    until.touch()
    return until, f"{HELD}[until={until}]"


def plan(folder: Path, asked: dict[str, Any], **options: Any) -> Plan:
    return make_plan(make_request(asked), Registry(), RunFolder(folder), **options)


def test_a_killed_bench_goes_on_and_its_plan_says_from_where(
    benches: Benches, held: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    until, method = held
    asked, cut = words(f"{method},{method[:-1]},turns=2]"), tmp_path / "cut"  # it may begin both at once
    left = benches.kill_when(0.4, cut, asked)
    assert max(left.values()) == 0.4
    planned = plan(cut, asked)
    for each in planned.cells:
        done = left.get(each.task.key)
        assert each.state == "to run"
        assert each.why == ("new" if done is None else f"interrupted, at {int(100 * done + 1e-6)} %")
    _print_plan(planned, cut)
    assert capsys.readouterr().out.count("interrupted, at ") == len(left)
    assert [each.why for each in plan(cut, asked, fresh=True).cells] == ["new", "new"]
    assert plan(cut, {**asked, "budget": "50 steps"}).cells[0].why == "new"  # another budget is another cell

    until.unlink()
    found = benches.finish(cut, asked)
    assert found == benches.finish(tmp_path / "whole", asked)
    assert [cell["training"]["status"] for cell in found.values()] == ["ok", "ok"]
    assert states(cut) == {}
    assert [each.state for each in plan(cut, asked).cells] == ["cached", "cached"]


def test_a_killed_cell_goes_on_the_next_time(benches: Benches, held: tuple[Path, str], tmp_path: Path) -> None:
    until, method = held
    asked, cut = words(method), tmp_path / "cut"
    bench = benches.start(cut, asked)
    while list(states(cut).values()) != [0.4]:
        assert is_alive(bench), Path(f"{cut}.out").read_text()
        time.sleep(0.01)
    for cell in benches.cells():
        cell.kill()
    assert wait(bench)
    (planned,) = plan(cut, asked).cells
    assert planned.why.startswith("tried before: the process died, SIGKILL")
    assert "; interrupted, at 40 %" in planned.why
    until.unlink()
    assert benches.finish(cut, asked) == benches.finish(tmp_path / "whole", asked)


def test_a_damaged_state_is_named_in_the_plan_and_in_the_row(
    benches: Benches, held: tuple[Path, str], tmp_path: Path
) -> None:
    until, method = held
    asked, cut = words(method), tmp_path / "cut"
    (key,) = benches.kill_when(0.4, cut, asked)
    until.unlink()
    file = RunFolder(cut).unfinished.file(key)
    file.write_bytes(file.read_bytes()[:-5])
    (planned,) = plan(cut, asked).cells
    assert planned.why == "interrupted, and its state is damaged (it has no checksum): it is trained anew"
    (found,) = benches.finish(cut, asked).values()
    assert "the state of its interrupted training is damaged (" in found["training"]["note"]
    assert found["training"]["steps"] == 40


def test_a_state_that_is_a_link_is_none(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run").create()
    (tmp_path / "elsewhere").mkdir()
    state_file.write_state(tmp_path / "elsewhere/key/training.state", {"key": "key", "done": 0.5}, [])
    (folder.artifacts / "key").mkdir()
    folder.unfinished.file("key").symlink_to(tmp_path / "elsewhere/key/training.state")
    assert "is a link" in folder.unfinished.words("key")
    folder.unfinished.forget("key")
    assert not folder.unfinished.file("key").is_symlink()
    assert (tmp_path / "elsewhere/key/training.state").exists()
    (folder.artifacts / "key").symlink_to(tmp_path / "elsewhere/key")
    folder.unfinished.forget("key")
    assert (tmp_path / "elsewhere/key/training.state").exists()


class Nothing:
    """A launcher that runs nothing, and keeps what it was handed."""

    def __init__(self) -> None:
        self.assignments: list[Any] = []

    def run(self, assignments: Any, *, alone: bool) -> Iterator[Any]:
        self.assignments += assignments
        yield from ()


def test_states_that_nobody_will_go_on_with_are_removed(tmp_path: Path) -> None:
    """Of a cell whose plugin changed since, by --fresh, and of a cell that is stored; that of another request stays."""
    asked, folder, launcher = words("vae,rotation"), RunFolder(tmp_path / "run").create(), Nothing()
    planned = plan(folder.path, asked)
    vae, rotation = (each.task for each in planned.cells)

    def left(key: str, identity: Any) -> Path:
        file = folder.unfinished.file(key)
        head = {"key": key, "done": 0.25, "asked": json.dumps(identity, sort_keys=True)}
        file.parent.mkdir(exist_ok=True)
        state_file.write_state(file, head, [])
        return file

    mine, older = left(vae.key, vae.identity), left("older", rotation.identity)
    other = left("other", {**vae.identity, "seed": 7})
    assert [each.why for each in plan(folder.path, asked).cells] == ["interrupted, at 25 %", "new"]
    here = workplace(Options(out=folder.path), folder)
    assert Execution(planned, folder, here, launcher, Registry()).run() == []
    assert [file.exists() for file in (mine, older, other)] == [True, False, True]
    assert [each.here.state.file for each in launcher.assignments] == [mine, folder.unfinished.file(rotation.key)]
    Execution(planned, folder, here, launcher, Registry(), fresh=True).run()
    assert [file.exists() for file in (mine, other)] == [False, True]
    assert not mine.parent.exists()
    mine = left(vae.key, vae.identity)
    failed = outcomes.failed(vae, "timed out after 60 s")
    folder.save(failed, None)
    assert mine.exists()
    folder.save(replace(failed, training=TrainingResult(status="ok")), None)
    assert not mine.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "dataset"),
    [
        ("gan", "digits"),
        ("moco", "digits"),
        ("dino", "digits"),
        ("masked-word", "docstrings"),
        ("next-frame", "moving-digits[clips=300,frames=6,size=16]"),
        ("vq-vae", "digits"),
    ],
)
def test_whole_cells_of_every_kind(benches: Benches, method: str, dataset: str, tmp_path: Path) -> None:
    asked, cut = words(method, dataset), tmp_path / "cut"
    for least in (0.2, 0.6):
        benches.kill_when(least, cut, asked)
    assert benches.finish(cut, asked) == benches.finish(tmp_path / "whole", asked)
