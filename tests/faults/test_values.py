"""What an evaluation returned that is no score fails that evaluation where it comes, and is stored nowhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from leaving_judges import PICTURES, VALUES, WHOLE, harness_evaluation

import harness
from harness.errors import TrainingFailed
from harness.measured import measured
from harness.records import EvaluationResult, ScoreValue

JUDGES = Path(__file__).with_name("leaving_judges.py")
SPEC = harness_evaluation()
REASONS = {
    "1.7": "mean is 1.7, outside of what it declares: 0 to 1",
    "-0.1": "mean is -0.1, outside of what it declares",
    "nan": "mean is not a finite number",
    "inf": "mean is not a finite number",
    "1e308": "mean is not a finite number",
    "text": "mean is a str, expected a number",
    "value text": "mean is a str, expected a number",
    "true": "mean is a bool, expected a number",
    "numpy true": "mean is a bool, expected a number",
    "complex": "mean is a complex, expected a number",
    "vector": "mean is a Tensor, expected a number",
    "no value": "mean is nothing, expected a number",
    "dict": "mean is a dict, expected a number",
    "list": "mean is a list, expected a number",
    "n many": "n of mean is a str, expected a whole number of examples",
    "n text": "n of mean is a str, expected a whole number of examples",
    "n 3.5": "n of mean is 3.5, expected a whole number of examples",
    "n true": "n of mean is True, expected a whole number of examples",
    "n -1": "n of mean is -1, expected a whole number of examples",
    "n 2**70": "n of mean is 1180591620717411303424, expected a whole number",
    "chance text": "chance of mean is a str, expected a number",
    "chance nan": "chance of mean is not a finite number",
    "note 5": "the note of mean is a int, expected text",
    "note none": "the note of mean is nothing, expected text",
    "note surrogate": "the note of mean has characters that are none",
    "outcomes short": "outcomes of mean have the shape (2,), expected (",
    "outcomes text": "outcomes of mean have the dtype <U1, expected numbers",
    "outcomes complex": "outcomes of mean have the dtype complex128, expected numbers",
    "outcomes ragged": "outcomes of mean are no array: ",
    "outcomes 5": "outcomes of mean have the shape (), expected (",
    "rows float": "rows of mean have the dtype float64, expected whole numbers",
    "rows empty": "rows of mean have the dtype float64, expected whole numbers",
    "rows far": "rows of mean must be different examples of the test split",
    "nothing": "it returned nothing, expected {score: value}",
    "a list": "it returned a list, expected {score: value}",
    "a number": "it returned a float, expected {score: value}",
    "undeclared": "evaluation 'leaving' returned a score 'other' that it does not declare",
    "a key": "evaluation 'leaving' returned a score '5' that it does not declare",
    "caption": "the caption of picture 'noise' is a int, expected text",
    "texts": "the one of texts of picture 'noise' is a int, expected text",
    "heading": "the heading of picture 'noise' is nothing, expected text",
    "place": "the place of picture 'noise' is a str, expected a whole number",
    "name": "the name of picture '5' is a int, expected text",
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> harness.Results:
    judges = [f"{JUDGES}[way={way}]" for way in REASONS]
    words = {"plugins": "pixels", "references": "none", "seeds": 1, "evaluations": ["knn", *judges]}
    return harness.bench(**words, out=tmp_path_factory.mktemp("values") / "run", progress=False)


@pytest.fixture(scope="module")
def rows(results: harness.Results) -> dict[str, EvaluationResult]:
    (cell,) = results.cells
    return {row.evaluation: row for row in cell.evaluations}


def test_every_case_has_a_reason() -> None:
    assert set(REASONS) == set(VALUES) | set(WHOLE) | set(PICTURES)


@pytest.mark.parametrize(("way", "reason"), REASONS.items())
def test_it_is_a_failed_row(rows: dict[str, EvaluationResult], way: str, reason: str) -> None:
    row = rows[f"leaving[way={way}]"]
    assert (row.status, row.scores, row.pictures) == ("failed", (), ())
    assert row.reason.startswith(reason)


def test_the_run_is_whole_and_reads_again(results: harness.Results, rows: dict[str, EvaluationResult]) -> None:
    assert len(rows) == len(REASONS) + 1
    assert next(row for name, row in rows.items() if name.startswith("knn")).status == "ok"
    assert len(harness.load(results.folder.path).cells) == 1
    assert (results.folder.path / "index.html").is_file()


@pytest.mark.parametrize(
    "value",
    [1, 0.5, np.float32(0.5), np.int64(1), np.array(0.5), torch.tensor(0.5), torch.tensor(1), 1 + 1e-7, -1e-7],
)
def test_numbers_of_every_kind_are_numbers(value: object) -> None:
    found = measured(SPEC, {"mean": value})["mean"].value
    assert type(found) is float
    assert found == float(value)  # type: ignore[arg-type]
    assert measured(SPEC, {"mean": ScoreValue(value=0.5, n=np.int64(7))})["mean"].n == 7  # type: ignore[arg-type]


def test_an_integer_that_no_float_holds_is_no_finite_number() -> None:
    with pytest.raises(TrainingFailed, match="mean is not a finite number"):
        measured(SPEC, {"mean": 10**400})


def test_a_share_is_from_0_to_1_even_if_it_declares_no_limits() -> None:
    """Its interval is one of shares."""
    score = replace(SPEC.scores[0], proportion=True, low=None, high=None)
    with pytest.raises(TrainingFailed, match=r"mean is 1.7, outside of what it declares: 0 to 1"):
        measured(replace(SPEC, scores=(score,)), {"mean": 1.7})
