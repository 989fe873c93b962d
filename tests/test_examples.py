"""Outcomes of test examples: checked, kept, read again, and asked for as a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import harness
from harness.errors import RequestError, TrainingFailed
from harness.examples import Outcomes, checked, in_common, read_examples, write_examples
from harness.records import ScoreValue


def test_outcomes_come_back_as_they_were_kept(tmp_path: Path) -> None:
    right = checked("accuracy", ScoreValue(value=0.75, outcomes=torch.tensor([True, True, False, True])), 4)
    errors = ScoreValue(value=0.5, outcomes=torch.tensor([0.75, 0.25]), rows=torch.tensor([3, 1]))
    error = checked("error", errors, 4)
    assert right is not None
    assert error is not None
    file = write_examples(tmp_path / "new" / "folder", {"accuracy": right, "error": error}, torch.tensor([2, 0, 1, 2]))
    found, labels = read_examples(file)
    assert found["accuracy"].values.tolist() == [1, 1, 0, 1]
    assert found["accuracy"].rows is None
    assert found["error"].index().tolist() == [1, 3]  # in the order of the test split
    assert found["error"].values.tolist() == [0.25, 0.75]
    assert labels is not None
    assert labels.tolist() == [2, 0, 1, 2]


def test_ten_thousand_answers_take_few_bytes(tmp_path: Path) -> None:
    right = np.random.default_rng(0).random(10_000) < 0.9
    file = write_examples(tmp_path, {"accuracy": Outcomes(right.astype(float))}, None)
    assert file.stat().st_size < 4_000
    assert read_examples(file)[1] is None


@pytest.mark.parametrize(
    ("measured", "says"),
    [
        (ScoreValue(value=1.0, outcomes=torch.ones(3)), r"shape \(3,\), expected \(4,\)"),
        (ScoreValue(value=0.5, outcomes=torch.ones(4)), "mean of the outcomes of accuracy is 1, and its value 0.5"),
        (ScoreValue(value=1.0, outcomes=torch.tensor([1, 1, 1, float("nan")])), "not finite"),
        (ScoreValue(value=1.0, outcomes=torch.ones(2), rows=torch.tensor([1, 1])), "different examples"),
        (ScoreValue(value=1.0, outcomes=torch.ones(2), rows=torch.tensor([1, 4])), "from 0 to 3"),
    ],
)
def test_outcomes_that_are_not_those_of_the_score_are_a_failure(measured: ScoreValue, says: str) -> None:
    with pytest.raises(TrainingFailed, match=says):
        checked("accuracy", measured, 4)


def test_a_score_without_outcomes_has_none() -> None:
    assert checked("fid", ScoreValue(value=1.0), 4) is None


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    file = tmp_path / "examples.npz"
    file.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(ValueError, match="is damaged"):
        read_examples(file)


def test_examples_in_common_are_those_that_all_have() -> None:
    whole, some = Outcomes(np.arange(5.0)), Outcomes(np.array([7.0, 8.0]), np.array([0, 4]))
    rows, (first, second) = in_common([whole, some])
    assert (rows.tolist(), first.tolist(), second.tolist()) == ([0, 4], [0.0, 4.0], [7.0, 8.0])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> harness.Results:
    return harness.bench(
        plugins="rotation",
        references="pixels,random-init",
        evaluations="knn,linear-probe,clustering",
        seeds=2,
        budget="20 steps",
        out=tmp_path_factory.mktemp("runs") / "run",
        jobs=2,
        progress=False,
    )


def test_a_run_says_which_examples_fail(run: harness.Results) -> None:
    frame = run.examples("knn", "accuracy", "rotation")
    scores = run.frame[(run.frame["evaluation"] == "knn") & (run.frame["method"] == "rotation")]
    assert frame.groupby("seed")["outcome"].mean().to_dict() == pytest.approx(
        scores.set_index("seed")["value"].to_dict()
    )
    assert set(frame["outcome"]) <= {0.0, 1.0}
    digits = frame[frame["seed"] == 0]
    assert digits["example"].tolist() == list(range(len(digits)))
    assert set(digits["label"]) == set(range(10))
    assert set(run.examples()["evaluation"]) == {"knn", "linear-probe"}  # clustering is of the whole set
    assert run.examples("clustering").empty


def test_the_first_seed_and_the_second_have_the_same_test_examples(run: harness.Results) -> None:
    labels = run.examples("knn", method="pixels").pivot_table(index="example", columns="seed", values="label")
    assert (labels[0] == labels[1]).all()


def test_a_run_is_loaded_from_the_disk_with_its_examples(run: harness.Results) -> None:
    loaded = harness.load(run.folder.path)
    assert loaded.ok
    assert loaded.frame.equals(run.frame)
    assert loaded.examples("knn").equals(run.examples("knn"))
    with pytest.raises(RequestError, match="is no run"):
        harness.load(run.folder.path / "cells")


def test_intervals_of_a_run_speak_of_examples_and_without_its_files_of_seeds_alone(run: harness.Results) -> None:
    from harness.report import table

    with_examples, without = run.table(), table(list(run.cells))
    name = "linear-probe accuracy"
    assert with_examples[name].tolist() == pytest.approx(without[name].tolist(), abs=1e-12)
    both = with_examples.set_index("method")[f"{name} ±"]
    assert both.notna().all()
    assert (both > 0.01).all()  # a few hundred examples cannot give less
    assert without.set_index("method").loc["pixels", f"{name} ±"] != both["pixels"]
