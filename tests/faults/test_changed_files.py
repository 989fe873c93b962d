"""An evaluation that changes files which its cell has made before fails by its name, and they are put back."""

from __future__ import annotations

from pathlib import Path

import pytest
from changing_judges import WAYS

import harness

JUDGES = Path(__file__).with_name("changing_judges.py")
ELSEWHERE = Path(__file__).parents[1] / "launchers" / "elsewhere.py"  # one that takes whole cells alone
GOOD = ["reconstruction", "knn", "linear-probe"]
WORDS = {"plugins": "vae", "references": "none", "seeds": 1, "budget": "2 steps", "progress": False}
WEIGHTS = "method.safetensors"
PICTURE = "reconstructions.png"
QUICK = ("flip_weights", "forge_pictures")  # the others are in one run with all of them, too
CHANGED = {way: PICTURE if "picture" in way or "folder" in way else WEIGHTS for way in WAYS}


def judged(ways: list[str], out: Path, **more: str) -> harness.Results:
    """A run in which each of these ways comes after the first of the good ones."""
    bad = [f"{JUDGES}[way={way}]" for way in ways]
    return harness.bench(**WORDS, evaluations=[GOOD[0], *bad, *GOOD[1:]], out=out, **more)


def numbers(results: harness.Results) -> dict[tuple[str, str], float]:
    (cell,) = results.cells
    assert cell.training.status == "ok"
    good = [row for row in cell.evaluations if row.evaluation in GOOD]
    assert [row.status for row in good] == ["ok"] * len(GOOD)
    return {(row.evaluation, score.score): score.value for row in good for score in row.scores}


def files(results: harness.Results) -> dict[str, str]:
    """The checksums of the weights and of what the good ones show, each found in its file."""
    (cell,) = results.cells
    mine = {name: known for name, known in (cell.files or {}).items() if "changing" not in name}
    for name in mine:
        if name.endswith(WEIGHTS):
            assert results.folder.weights(cell) is not None
        else:
            results.folder.artifact(cell, name)
    return mine


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> harness.Results:
    results = judged([], tmp_path_factory.mktemp("alone") / "run")
    assert {name.rpartition("/")[2] for name in files(results)} >= {WEIGHTS, PICTURE}
    return results


@pytest.mark.parametrize("way", [way if way in QUICK else pytest.param(way, marks=pytest.mark.slow) for way in WAYS])
def test_files_and_numbers_are_those_of_a_run_without_it(way: str, alone: harness.Results, tmp_path: Path) -> None:
    results = judged([way], tmp_path / "run")
    (row,) = [row for row in results.cells[0].evaluations if row.evaluation.startswith("changing")]
    assert (row.status, row.scores) == ("failed", ())
    assert row.reason.startswith("it changed files of its cell: ")
    assert CHANGED[way] in row.reason
    assert numbers(results) == numbers(alone)
    assert files(results) == files(alone)


def test_all_of_them_and_one_that_changes_nothing(alone: harness.Results, tmp_path: Path) -> None:
    results = judged([*WAYS, "none"], tmp_path / "run")
    assert len(results.failures) == len(WAYS)
    assert numbers(results) == numbers(alone)
    assert files(results) == files(alone)


def test_where_no_process_is_left_to_hand_over_to(alone: harness.Results, tmp_path: Path) -> None:
    """What was changed is loaded again, in the same process."""
    results = judged(list(WAYS), tmp_path / "run", launcher=f"{ELSEWHERE}[folder={tmp_path / 'there'}]")
    assert len(results.failures) == len(WAYS)
    assert numbers(results) == numbers(alone)
    assert files(results) == files(alone)


def test_weights_that_are_lost_after_all_are_trained_again(tmp_path: Path) -> None:
    """By whoever removes them when the cell has ended."""
    results = judged([], tmp_path / "run")
    results.folder.checkpoint(results.cells[0].key).unlink()
    again = harness.bench(**WORDS, evaluations=[*GOOD, "clustering"], out=tmp_path / "run")
    assert again.ok
    assert files(again).items() >= files(results).items()
