"""Parts of labels: how they are written, what a request with them plans, keeps apart and tells."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness
from harness.errors import RequestError
from harness.labels import Labels, label_parts
from harness.plan import Plan, make_plan
from harness.registry import Registry
from harness.report.series import with_series
from harness.report.summary import comparisons
from harness.store import RunFolder
from harness.suite import make_request


@pytest.mark.parametrize(
    ("text", "written"),
    [("1%", "1%"), (" 10.0 % ", "10%"), ("0.5%", "0.5%"), ("5/class", "5/class"), ("5 / class", "5/class")],
)
def test_a_part_is_read_as_people_write_it(text: str, written: str) -> None:
    assert str(Labels.parse(text)) == written
    assert Labels.parse(written) == Labels.parse(text)


@pytest.mark.parametrize(
    "text", ["", "0%", "0.0%", "101%", "-1%", "nan%", "10", "7/foo", "0/class", "2.5/class", "all"]
)
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match=r"is no part of them: write '1%', '10%', up to '100%', or '5/class'"):
        Labels.parse(text)


@given(st.integers(1, 10_000), st.floats(0.01, 100), st.floats(0.01, 100))
def test_a_larger_share_of_a_class_is_never_fewer(n: int, one: float, other: float) -> None:
    few, many = (Labels(share=share).of_class(n) for share in sorted((one, other)))
    assert 1 <= few <= many <= n


def test_equal_parts_are_asked_for_once() -> None:
    assert label_parts(["10%", "1.0%", "10.0%", "100%"]) == ("10%", "1%", "100%")
    assert label_parts([]) == ("100%",)


def planned(folder: Path, **words: object) -> Plan:
    request = make_request(
        {"plugins": [], "references": "pixels", "seeds": 1, "evaluations": "linear-probe,clustering"} | words
    )
    return make_plan(request, Registry(), RunFolder(folder))


def test_each_part_is_a_task_of_what_fits_to_labels_alone(tmp_path: Path) -> None:
    (cell,) = planned(tmp_path, labels="100%,1%").cells
    asked = [(todo.evaluation.name, todo.labels) for todo in cell.task.todo]
    assert asked == [("linear-probe", "100%"), ("linear-probe", "1%"), ("clustering", "")]


def test_fine_tuning_takes_parts_and_few_shot_draws_its_own(tmp_path: Path) -> None:
    (cell,) = planned(tmp_path, labels="1%,5/class", evaluations="finetune,few-shot").cells
    asked = [(todo.evaluation.name, todo.labels) for todo in cell.task.todo]
    assert asked == [("finetune", "1%"), ("finetune", "5/class"), ("few-shot", "")]
    assert len({todo.key for todo in cell.task.todo}) == cell.judged == 3


def test_all_labels_have_the_key_of_a_request_that_says_nothing(tmp_path: Path) -> None:
    (silent,), (said,), (fewer,) = (
        planned(tmp_path, **words).cells for words in ({}, {"labels": "100%"}, {"labels": "5/class"})
    )
    assert [todo.key for todo in silent.task.todo] == [todo.key for todo in said.task.todo]
    assert fewer.task.key == silent.task.key  # training knows nothing of it
    assert fewer.task.todo[0].key != silent.task.todo[0].key
    assert fewer.task.todo[1].key == silent.task.todo[1].key  # clustering fits to no labels


def test_parts_of_a_suite_unite_their_labels(tmp_path: Path) -> None:
    (cell,) = planned(tmp_path, part=[{"labels": "1%"}, {"labels": ["10%", "1%"]}]).cells
    assert cell.cell.labels == ("1%", "10%")


def test_a_bench_with_fewer_labels(tmp_path: Path) -> None:
    """Rows say their labels, too many a class is a skipped row, and what is stored is not confused."""
    words = {
        "plugins": [],
        "references": "pixels",
        "seeds": [0],
        "evaluations": "linear-probe,knn",
        "out": tmp_path / "run",
    }
    frame = harness.bench(labels="1%,5/class,5000/class", progress=False, **words).frame
    rows = frame[frame["score"] == "accuracy"].set_index(["evaluation", "labels"])["value"]
    assert set(rows.index) == {(judge, part) for judge in ("linear-probe", "knn") for part in ("1%", "5/class")}
    assert rows["linear-probe", "1%"] < rows["linear-probe", "5/class"] < 0.9
    (reason,) = set(frame.loc[frame["labels"] == "5000/class", "reason"])
    assert reason.startswith("digits has 1")
    assert "training images of class '" in reason
    assert reason.endswith("fewer than 5000/class")
    note = frame.loc[(frame["evaluation"] == "knn") & (frame["labels"] == "5/class"), "note"].iloc[0]
    assert "5/class: 50 of 1294 training images, 10 of 144 for validation" in note

    whole = harness.bench(progress=False, **words)
    found = whole.frame[whole.frame["score"] == "accuracy"].set_index(["evaluation", "labels"])["value"]
    assert set(found.index) == set(rows.index) | {("linear-probe", "100%"), ("knn", "100%")}
    assert found["linear-probe", "100%"] > 0.9
    assert all(found[key] == rows[key] for key in rows.index)
    assert all(cell.state == "cached" for cell in planned(tmp_path / "run", evaluations="linear-probe,knn").cells)

    numbered, series = with_series(whole.frame)
    (comparison,) = comparisons(numbered, series)
    names = [column.name for column in comparison.columns]
    assert names[0] == "linear-probe accuracy"
    assert {"linear-probe (1% labels) accuracy", "knn (5/class) accuracy"} < set(names)
    assert whole.examples("knn")["labels"].nunique() == 3
    said = (
        "Linear-probe was fitted to 3 parts of the labels (100%, 1%, 5/class): the first, 100%, orders the rows and is "
        "what the first sentence speaks of."
    )
    assert comparison.leading_part == said
    page = (tmp_path / "run" / "index.html").read_text()
    assert "linear-probe (1% labels)" in page
    assert said in page
    assert said in (tmp_path / "run" / "report.md").read_text()
