"""Pivots and gains without their traps, several runs as one, and a dictionary that has every column."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import harness
from harness.errors import RequestError
from harness.expansion import expand
from harness.records import Budget, CellResult
from harness.registry import Registry
from harness.report.frame import COLUMNS, PARAMS, PROVENANCE, read_frame, tidy_frame, write_frame
from harness.report.series import labelled, with_series
from harness.report.summary import comparisons
from harness.report.tidy import gain, pivot
from harness.store import RunFolder
from harness.suite import make_request
from tests.report.example_run import example_results

DOCS = Path(__file__).parents[2] / "docs" / "frame.md"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[CellResult]:
    return example_results(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def frame(results: list[CellResult]) -> pd.DataFrame:
    return labelled(tidy_frame(results, "run"))


def untrained(result: CellResult) -> CellResult:
    """The same cell before training: every accuracy is 0.2 lower."""
    judged = tuple(
        replace(e, scores=tuple(replace(s, value=s.value - 0.2) if s.score == "accuracy" else s for s in e.scores))
        for e in result.evaluations
    )
    cell = replace(result.cell, budget=Budget.parse("0 steps"))
    training = replace(result.training, steps=0, examples=0)
    return replace(result, key=f"{result.key}-0", cell=cell, training=training, evaluations=judged)


def test_the_dictionary_has_every_column_and_no_other() -> None:
    told = re.findall(r"^\| `([^`]+)` \|", DOCS.read_text(), re.M)
    assert told == [*COLUMNS, f"{PARAMS}NAME", f"{PARAMS}backbone.NAME", f"{PROVENANCE}NAME"]


def test_untrained_cells_are_not_pooled_with_trained_ones(results: list[CellResult]) -> None:
    twins = [untrained(result) for result in results if result.cell.method.name == "rotation"]
    whole = labelled(tidy_frame([*results, *twins]))
    shown = pivot(whole, "knn", "accuracy", ["target"])
    trained, before = shown.loc["rotation"], shown.loc["rotation · untrained"]
    assert (trained - before).to_numpy() == pytest.approx(0.2)
    assert dict(whole[["label", "trained"]].drop_duplicates().to_numpy())["rotation · untrained"] is False


def test_a_pivot_is_the_mean_over_seeds(frame: pd.DataFrame) -> None:
    target = frame["target"][frame["target"] != ""].iloc[0]
    rows = frame[(frame.evaluation == "knn") & (frame.score == "accuracy") & (frame.target == target)]
    expected = rows.groupby("label")["value"].mean()
    shown = pivot(frame, "knn", "accuracy", ["target"])[target]
    for label, value in expected.dropna().items():
        assert shown[label] == pytest.approx(value)


def test_a_gain_is_paired_by_seed_and_positive_where_it_is_better(frame: pd.DataFrame) -> None:
    found = gain(frame)
    assert "random-init" not in set(found["method"])
    rows = frame[frame.evaluation == "knn"].set_index(["label", "target", "score", "seed"])["value"]
    for row in found[found.evaluation == "knn"].itertuples():
        base = rows["random-init", row.target, row.score, row.seed]
        assert row.gain == pytest.approx(row.value - base)
        assert row.baseline == pytest.approx(base)


def test_gains_are_those_of_the_report(frame: pd.DataFrame) -> None:
    numbered, series = with_series(frame)
    found = gain(frame)
    compared = 0
    for comparison in comparisons(numbered, series):
        for row in comparison.rows:
            for column, entry in zip(comparison.columns, row.entries, strict=True):
                here = found[
                    (found.label == row.series.label) & (found.target == comparison.target)
                    & (found.evaluation == column.evaluation) & (found.score == column.score)
                ]  # fmt: skip
                if entry.gain is not None and column.better != "none":
                    assert here["gain"].mean() == pytest.approx(entry.gain.effect), (row.series.label, column.name)
                    compared += 1
    assert compared > 10


def test_a_mean_of_several_scores_is_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(RequestError, match="a mean of several evaluations says nothing: name one"):
        pivot(frame, columns=["target"])
    with pytest.raises(RequestError, match="no row of the frame has the evaluation 'kn': did you mean 'knn'"):
        pivot(frame, "kn")
    with pytest.raises(RequestError, match="has no column 'tarket': did you mean 'target'"):
        pivot(frame, "knn", "accuracy", ["tarket"])


def test_a_column_for_each_parameter_numbers_where_all_are(results: list[CellResult], tmp_path: Path) -> None:
    full = {"vae": "vae[beta=1.0,latent_dim=8,likelihood=bernoulli]", "pca": "pca[dim=32]"}
    told = [
        replace(
            one, identity={"method": full.get(one.cell.method.name, ""), "backbone": "convnet[norm=batch,width=16]"}
        )
        for one in results
    ]
    frame = labelled(tidy_frame(told))
    vae = frame[frame.method.str.startswith("vae")]
    assert set(vae["params.latent_dim"]) == {8.0}
    assert set(vae["params.likelihood"]) == {"bernoulli"}
    assert set(frame["params.backbone.width"]) == {16.0}
    assert frame["params.dim"].isna().any()
    write_frame(frame, tmp_path)
    for name in ("results.parquet", "results.csv"):
        pd.testing.assert_frame_equal(read_frame(tmp_path / name), frame, check_exact=True)


def test_an_older_frame_is_told_what_it_does_not_say(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.drop(columns=["label", "trained", "budget_examples"]).to_parquet(tmp_path / "results.parquet", index=False)
    older = read_frame(tmp_path / "results.parquet")
    ok = older["status"] == "ok"
    assert list(older["trained"][ok]) == list(frame["trained"][ok])
    assert list(older["budget_examples"][ok].dropna()) == list(frame["budget_examples"][ok].dropna())
    assert list(labelled(older)["label"]) == list(frame["label"])


def run_of(folder: Path, results: list[CellResult]) -> Path:
    home = RunFolder(folder).create()
    for result in results:
        home.save(result, None)
    return folder


def test_several_runs_are_one_frame(results: list[CellResult], tmp_path: Path) -> None:
    one = run_of(tmp_path / "one", results)
    other = run_of(tmp_path / "two" / "one", [r for r in results if r.cell.method.name in ("rotation", "random-init")])
    both = harness.load(one, other)
    assert set(both.frame["run"]) == {f"{tmp_path.name}/one", "two/one"}
    assert repr(both).startswith(f"<2 runs: <Results of {len(results)} cells in ")
    pd.testing.assert_frame_equal(both.pivot("knn"), harness.load(one).pivot("knn"))
    assert len(both.gain("knn")) == len(harness.load(one).gain("knn"))
    with pytest.raises(RequestError, match="name a run"):
        harness.load()  # type: ignore[call-overload]


# What never trains has no budget. -------------------------------------------------------------------------------------


def test_references_that_never_train_are_the_same_for_every_budget() -> None:
    part = [{"budget": "2 epochs"}, {"budget": "5 epochs"}]
    words = {"plugins": "rotation", "evaluations": "none", "seeds": 1, "part": part}
    cells = expand(make_request(words), Registry())
    budgets = [(cell.method.name, str(cell.budget)) for cell in cells]
    assert sorted(budgets) == [
        ("pca", "None"), ("pixels", "None"), ("random-init", "None"), ("rotation", "2 epochs"),
        ("rotation", "5 epochs"), ("supervised", "2 epochs"), ("supervised", "5 epochs"),
    ]  # fmt: skip


def test_runs_of_two_budgets_share_their_references(results: list[CellResult]) -> None:
    """Those of an older Harness too, which gave every cell a budget."""
    longer = [
        replace(one, key=f"{one.key}-80", cell=replace(one.cell, budget=Budget.parse("80 epochs")), finished="later")
        for one in results
    ]
    labels = set(labelled(tidy_frame([*results, *longer]))["label"])
    assert {"random-init", "pixels", "pca"} <= labels
    assert {"rotation · 40 epochs", "rotation · 80 epochs"} <= labels


def test_a_loss_that_only_an_instance_has_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "late.py"
    file.write_text(
        "import torch\nfrom torch import nn\nfrom harness.plugin import MethodSpec, hookimpl\n\n"
        "class Late(nn.Module):\n    def __init__(self, backbone, data, config):\n        super().__init__()\n"
        "        self.weight = nn.Parameter(torch.ones(1))\n        self.loss = lambda batch: self.weight.sum()\n"
        "    def encode(self, images):\n        return images.flatten(1)\n\n"
        "@hookimpl\ndef harness_method():\n"
        "    return MethodSpec(name='late', kind='reference', build=Late, uses_backbone=False)\n"
    )
    words = {"plugins": str(file), "references": "none", "seeds": 1, "evaluations": "knn", "budget": "2 steps"}
    found = harness.bench(**words, out=tmp_path / "run", progress=False)
    assert "Late has a loss once built, and its class has none" in found.failures[0]
