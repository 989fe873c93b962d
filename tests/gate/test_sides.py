"""Loading two runs and pairing their units: what belongs together, and one clear line for what is no run."""

from __future__ import annotations

from pathlib import Path

import pytest
from gate_runs import BASE, accuracies, cell, judged, score, write

from harness.errors import RequestError
from harness.gate.pairing import paired, units
from harness.gate.sides import load_side, load_sides
from harness.records import PluginRef
from harness.report.frame import joined, write_frame


def test_what_is_no_run_is_said_in_one_line(tmp_path: Path) -> None:
    run = write(tmp_path / "run", accuracies(BASE[:1]))
    (tmp_path / "empty" / "cells").mkdir(parents=True)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "results.parquet").write_bytes(b"no Parquet")
    for other, says in (
        (run, "is given twice"),
        (tmp_path / "nowhere", "does not exist"),
        (tmp_path / "empty", "holds no finished cell"),
        (tmp_path / "report", "has no folder 'cells': give"),
        (tmp_path / "report" / "results.parquet", "cannot read"),
    ):
        with pytest.raises(RequestError) as error:
            load_sides(run, other)
        assert says in str(error.value)
        assert "\n" not in str(error.value)


def test_a_frame_of_several_runs_is_none_of_one(tmp_path: Path) -> None:
    sides = [load_side(write(tmp_path / name, accuracies(BASE[:1]))) for name in ("a", "b")]
    write_frame(joined([side.frame for side in sides]), tmp_path)
    with pytest.raises(RequestError, match="holds 2 runs: compare frames of one run each"):
        load_side(tmp_path / "results.parquet")


def test_a_csv_is_as_good_as_a_parquet_file(tmp_path: Path) -> None:
    side = load_side(write(tmp_path / "a", accuracies()))
    write_frame(side.frame, tmp_path)
    one, other = load_sides(tmp_path / "results.parquet", tmp_path / "results.csv")
    assert one.frame.equals(other.frame)


def test_datasets_are_called_alike_in_both(tmp_path: Path) -> None:
    """By what tells them apart over both runs, not within each: else `digits` of another size would look the same."""
    small = PluginRef(name="digits", params={"size": 8})
    results = [cell(judged(score(), target=str(small)))]
    object.__setattr__(results[0], "cell", results[0].cell.__class__(**{
        **{key: getattr(results[0].cell, key) for key in results[0].cell.__dataclass_fields__}, "source": small,
        "targets": (small,),
    }))  # fmt: skip
    base, candidate = load_sides(write(tmp_path / "a", accuracies(BASE[:1])), write(tmp_path / "b", results))
    assert set(base.frame["source"]) == {"digits"}
    assert set(candidate.frame["source"]) == {"digits[size=8]"}


def budgets(side_budgets: list[str], folder: Path) -> Path:
    results = [cell(judged(score()), budget=budget) for budget in side_budgets]
    for result in results:
        object.__setattr__(result, "key", f"vae-{result.cell.budget}".replace(" ", "-"))
    return write(folder, results)


@pytest.mark.parametrize(
    ("base", "candidate", "pairs"),
    [
        (["1 epochs"], ["1 epochs"], {("1 epochs", "1 epochs")}),
        (["1 epochs"], ["2 epochs"], {("1 epochs", "2 epochs")}),  # the only ones left: of one question
        (["1 epochs", "2 epochs"], ["2 epochs"], {("2 epochs", "2 epochs"), ("1 epochs", "")}),
        (["1 epochs", "2 epochs"], ["2 epochs", "3 epochs"], {("2 epochs", "2 epochs"), ("1 epochs", "3 epochs")}),
        (["1 epochs", "2 epochs"], ["3 epochs"], {("1 epochs", ""), ("2 epochs", ""), ("", "3 epochs")}),
    ],
)
def test_settings_are_paired_where_that_leaves_no_doubt(tmp_path, base, candidate, pairs):
    sides = load_sides(budgets(base, tmp_path / "a"), budgets(candidate, tmp_path / "b"))
    found = paired(*map(units, sides))
    knn = [pair for pair in found if pair.place.evaluation == "knn"]
    assert {tuple(unit.place.budget if unit else "" for unit in (p.base, p.candidate)) for p in knn} == pairs


def test_of_a_cell_that_was_run_twice_the_last_counts(tmp_path: Path) -> None:
    first, again = accuracies([0.5]), accuracies([0.7])
    object.__setattr__(again[0], "key", "again")
    object.__setattr__(again[0], "finished", "2027-01-01T00:00:00+00:00")
    side = load_side(write(tmp_path / "a", [*first, *again]))
    (unit,) = (unit for unit in units(side) if unit.place.evaluation == "knn")
    assert [row["value"] for row in unit.scores["accuracy"].values()] == [0.7]
