"""What travels and where it lies are apart: the same tasks in another place, with nothing but bytes in between."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import harness
from harness.errors import HarnessError, RequestError
from harness.plan import make_plan
from harness.registry import Registry
from harness.store import RunFolder, dump_task, load_task
from harness.suite import make_request

HERE = Path(__file__).parent
ELSEWHERE, STRIPES = HERE / "elsewhere.py", HERE / "stripes.py"
JUDGES = "knn,representation"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plugin file and a data root."""
    folder = tmp_path_factory.mktemp("first")
    shutil.copy(STRIPES, folder / "mine.py")
    spec = importlib.util.spec_from_file_location("stripes", STRIPES)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.save(folder / "data")
    return folder


@pytest.fixture(scope="module")
def other(first: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another machine: it has the data, and nothing else of the first."""
    folder = tmp_path_factory.mktemp("other")
    shutil.copytree(first / "data", folder / "data")
    return folder


def words(first: Path, evaluations: str = JUDGES) -> dict[str, object]:
    return {
        "plugins": str(first / "mine.py"),
        "datasets": "stripes",
        "references": "pixels",
        "seeds": 1,
        "budget": "3 steps",
        "evaluations": evaluations,
    }


def bench(first: Path, out: Path, launcher: str, evaluations: str = JUDGES) -> harness.Results:
    ways = {"out": out, "data_dir": first / "data", "progress": False, "launcher": launcher}
    return harness.bench(**words(first, evaluations), **ways)


def numbers(results: harness.Results) -> dict[tuple[str, str, str], float]:
    scores = {(r.key, e.key, s.score): s.value for r in results.cells for e in r.evaluations for s in e.scores}
    return scores | {(r.key, "training", "loss"): r.training.loss for r in results.cells}


@pytest.fixture(scope="module")
def local(first: Path, tmp_path_factory: pytest.TempPathFactory) -> harness.Results:
    return bench(first, tmp_path_factory.mktemp("runs") / "local", "local")


def texts(value: object) -> Iterator[str]:
    """Every text in a piece of JSON, keys too."""
    if isinstance(value, dict):
        yield from (text for pair in value.items() for part in pair for text in texts(part))
    elif isinstance(value, list):
        yield from (text for part in value for text in texts(part))
    elif isinstance(value, str):
        yield value


def test_a_task_has_no_path_in_it(first: Path, local: harness.Results) -> None:
    """Neither when all is to do, nor when its weights are there already."""
    for evaluations in (JUDGES, f"{JUDGES},clustering"):
        for folder in (RunFolder(first / "none"), local.folder):
            plan = make_plan(make_request(words(first, evaluations)), Registry(), folder, data_dir=first / "data")
            for planned in plan.cells:
                content = dump_task(planned.task)
                assert load_task(content) == planned.task
                assert str(first).encode() not in content
                assert str(Path.home()).encode() not in content
                assert [text for text in texts(json.loads(content)) if Path(text).is_absolute()] == []


def test_the_same_tasks_elsewhere_give_the_same_numbers_and_files(
    first: Path, other: Path, local: harness.Results, tmp_path: Path
) -> None:
    away = bench(first, tmp_path / "run", f"{ELSEWHERE}[folder='{other}']")
    assert away.failures == local.failures == []
    assert len(numbers(away)) > 10
    assert numbers(away) == numbers(local)
    assert published(away) == published(local)
    assert {Path(file).name for file in published(away)} == {"map.json", "method.safetensors", "examples.npz"}
    pictures = [p for cell in away.cells for e in cell.evaluations for p in e.pictures]
    assert pictures
    assert all((away.folder.path / picture.file).is_file() for picture in pictures)
    assert away.examples().drop(columns="run").equals(local.examples().drop(columns="run"))


def test_a_checkpoint_travels_and_is_not_trained_again(
    first: Path, other: Path, local: harness.Results, tmp_path: Path
) -> None:
    shutil.copytree(local.folder.path, tmp_path / "run")
    more = bench(first, tmp_path / "run", f"{ELSEWHERE}[folder='{other}']", f"{JUDGES},clustering")
    here = bench(first, local.folder.path, "local", f"{JUDGES},clustering")
    assert more.ok
    assert [cell.training for cell in more.cells] == [cell.training for cell in local.cells]
    assert {key: value for key, value in numbers(more).items() if key in numbers(local)} == numbers(local)
    assert numbers(more) == numbers(here) != numbers(local)


def test_a_launcher_is_in_no_key(first: Path, local: harness.Results, other: Path) -> None:
    files = {file: file.stat().st_mtime_ns for file in local.folder.cells.iterdir()}
    bench(first, local.folder.path, f"{ELSEWHERE}[folder='{other}']", f"{JUDGES},clustering")
    assert {file: file.stat().st_mtime_ns for file in local.folder.cells.iterdir()} == files


def published(results: harness.Results) -> dict[str, bytes]:
    """Every artifact of a run by its place."""
    root = results.folder.artifacts
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def test_a_launcher_that_forgets_a_cell_is_told_by_the_results(first: Path, other: Path, tmp_path: Path) -> None:
    lost = bench(first, tmp_path / "run", f"{ELSEWHERE}[folder='{other / 'lost'}',way=forgets]")
    assert (len(lost.cells), lost.missing, lost.ok) == (1, 1, False)


@pytest.mark.parametrize(
    ("way", "message", "kept"),
    [
        ("raises", "failed: ConnectionError: the line is cut (elsewhere.py:", 1),
        ("leaves", "failed: SystemExit: 0 (elsewhere.py:", 1),
        ("twice", "gave a second result, or one that nobody asked for", 1),
        ("number", "gave a int, expected a CellResult", 1),
        ("list", "failed: AttributeError: 'list' object has no attribute 'close'", 0),
        ("nothing", "cannot start: build gave a Elsewhere, expected one with run()", 0),
    ],
)
def test_a_launcher_that_breaks_off_is_one_line_and_what_is_finished_is_kept(
    way: str, message: str, kept: int, first: Path, other: Path, tmp_path: Path
) -> None:
    with pytest.raises(HarnessError) as caught:
        bench(first, tmp_path / "run", f"{ELSEWHERE}[folder='{other / way}',way={way}]")
    assert str(caught.value).startswith(f"launcher '{ELSEWHERE}[")
    assert f"way={way}]' {message}" in str(caught.value)
    assert way == "nothing" or "what is finished is kept" in str(caught.value)
    assert len(list((tmp_path / "run" / "cells").glob("*.json"))) == kept


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        ("locl", "no launcher 'locl': did you mean 'local'?"),
        ("local,local[]x", "expected ',' between plugins"),
        ("local[jobs=3]", "plugin 'local' has no parameter 'jobs'"),
        ("", "--launcher '' names 0 launchers: name one, such as 'local'"),
        ("{elsewhere}[folder=a|b]", "names 2 launchers: name one"),
        ("{elsewhere}[folder=x,way=refuses]", "cannot start: ConnectionError: nobody is there"),
        ("{elsewhere}[folder=x,way=exits]", "cannot start: SystemExit: 0"),
    ],
)
def test_a_launcher_that_cannot_be_had_is_one_line(launcher: str, message: str, first: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        bench(first, tmp_path / "run", launcher.format(elsewhere=ELSEWHERE))
    assert message in str(caught.value)
