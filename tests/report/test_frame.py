"""The tidy frame: what is in it, its order, and that Parquet and CSV give it back."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from harness.records import (
    Budget,
    Cell,
    CellResult,
    EvaluationResult,
    PluginRef,
    Score,
    TrainConfig,
    TrainingResult,
)
from harness.report.frame import (
    COLUMNS,
    counted,
    dataset_labels,
    flattened,
    joined,
    read_frame,
    tidy_frame,
    write_frame,
)
from harness.report.series import with_series
from harness.report.summary import comparisons


def score(**changes):
    fields = {"score": "accuracy", "value": 0.1 + 0.2, "unit": "fraction", "better": "higher", "primary": True,
              "chance": 0.1, "n": 360, "note": ""}  # fmt: skip
    return Score(**{**fields, **changes})


def evaluation(**changes):
    fields = {"target": "digits", "evaluation": "knn", "status": "ok", "key": "e", "seconds": 0.5}
    return EvaluationResult(**{**fields, **changes})


def result(name="vae", seed=0, *, params=None, training=None, evaluations=(), source="digits", **changes):
    source = source if isinstance(source, PluginRef) else PluginRef(name=source)
    cell = Cell(
        method=PluginRef(name=name, params=params or {}), kind="model", backbone=PluginRef(name="convnet"),
        source=source, targets=(source,), evaluations=(PluginRef(name="knn"),), device="cpu", precision="fp32",
        seed=seed, budget=Budget(amount=2, unit="epochs"), train=TrainConfig(),
    )  # fmt: skip
    fields = {"key": f"{cell.method}-{seed}", "cell": cell, "identity": {}, "provenance": {"torch": "2.9"}}
    training = training or TrainingResult(status="ok", seconds=2.0, steps=10, examples=100, parameters=7, loss=0.5)
    return CellResult(**{**fields, "training": training, "evaluations": tuple(evaluations), **changes})


def test_a_row_per_score_with_the_columns_promised():
    frame = tidy_frame([result(evaluations=[evaluation(scores=(score(), score(score="f1", primary=False)))])], "mine")
    assert list(frame.columns[: len(COLUMNS)]) == list(COLUMNS)
    knn = frame[frame["evaluation"] == "knn"]
    assert knn["score"].tolist() == ["accuracy", "f1"]
    assert knn["value"].tolist() == [0.1 + 0.2] * 2
    assert knn["primary"].tolist() == [True, False]
    assert set(frame["run"]) == {"mine"}
    assert knn["budget"].iloc[0] == "2 epochs"
    assert knn["provenance.torch"].iloc[0] == "2.9"
    assert knn["provenance.train.batch_size"].iloc[0] == "128"


def test_training_is_an_evaluation_without_target():
    frame = tidy_frame([result()])
    training = frame[frame["evaluation"] == "training"].set_index("score")["value"].to_dict()
    assert training == {
        "loss": 0.5, "seconds": 2.0, "examples": 100.0, "steps": 10.0, "parameters": 7.0, "examples_per_second": 50.0,
    }  # fmt: skip
    assert set(frame["target"]) == {""}


def test_what_an_example_costs_is_in_the_frame():
    costs = TrainingResult(status="ok", counted="clips", examples=10, views=2.0, passes=4.0, flops=3e12)
    rows = tidy_frame([result(training=costs)]).set_index("score")
    assert rows.loc[["views", "passes", "flops"], "value"].tolist() == [2.0, 4.0, 3e12]
    assert rows.loc[["views", "passes", "flops"], "unit"].tolist() == ["views/clip", "passes/clip", "FLOPs"]


def test_untrained_references_have_no_speed_and_no_loss():
    frame = tidy_frame([result(training=TrainingResult(status="ok"))])
    assert set(frame["score"]) == {"seconds", "examples", "steps", "parameters"}


@pytest.mark.parametrize("status", ["skipped", "failed"])
def test_what_gave_no_number_is_a_row_with_the_reason(status):
    frame = tidy_frame([result(evaluations=[evaluation(status=status, reason="no labels")])])
    row = frame[frame["evaluation"] == "knn"].iloc[0]
    assert (row["score"], row["status"], row["reason"]) == ("", status, "no labels")
    assert math.isnan(row["value"])
    failed = TrainingResult(status=status, reason="NaN at step 3")
    row = tidy_frame([result(training=failed)]).iloc[0]
    assert (row["evaluation"], row["status"], row["reason"]) == ("training", status, "NaN at step 3")


def test_notes_of_score_and_evaluation_are_joined():
    frame = tidy_frame([result(evaluations=[evaluation(note="resized", scores=(score(note="k=20"),))])])
    assert frame["note"].iloc[-1] == "k=20; resized"


def test_the_order_of_the_results_does_not_matter():
    results = [result(name, seed, evaluations=[evaluation(scores=(score(),))]) for name in "ba" for seed in (1, 0)]
    pd.testing.assert_frame_equal(tidy_frame(results), tidy_frame(results[::-1]))
    assert tidy_frame(results).drop_duplicates("cell")["cell"].tolist() == ["a-0", "a-1", "b-0", "b-1"]


def test_parameters_come_in_full_from_the_identity():
    with_defaults = result(params={"beta": 4.0}, identity={"method": "vae[beta=4.0,latent_dim=16]"})
    row = tidy_frame([with_defaults]).iloc[0]
    assert (row["method"], row["params"]) == ("vae[beta=4.0]", "beta=4.0,latent_dim=16")
    assert tidy_frame([result(params={"beta": 4.0})])["params"].iloc[0] == "beta=4.0"


def test_labels_are_used_if_provenance_says_so():
    assert set(tidy_frame([result(provenance={"uses": "labels"})])["uses"]) == {"labels"}
    assert set(tidy_frame([result()])["uses"]) == {""}


def test_datasets_are_called_by_what_tells_them_apart():
    def folder(path, size=8):
        return PluginRef(name="image-folder", params={"path": path, "size": size})

    one, two = result(source=folder("/a")), result(source=folder("/b"))
    assert dataset_labels([one]) == {"image-folder[path=/a,size=8]": "image-folder"}
    assert list(dataset_labels([one, two]).values()) == ["image-folder[path=/a]", "image-folder[path=/b]"]
    judged = result(source=folder("/a"), evaluations=[evaluation(target=str(folder("/a")), scores=(score(),))])
    assert tidy_frame([judged])["target"].tolist()[-1] == "image-folder"


def awkward_results():
    """NaN, empty texts, integers that are missing, text that looks like something else, many lines and quotes."""
    scores = (score(note='"NA", x\ny'), score(score="tiny", value=1e-300 / 3, chance=None, unit="NaN", n=2**53 + 1))
    skipped = evaluation(evaluation="fid", status="skipped", reason="NULL")
    return [
        result(evaluations=[evaluation(scores=scores), skipped]),
        result("1.0", 1, provenance={"cores": 4, "keyed": {"dataset": "007"}, "git commit": ""}),
    ]


@pytest.mark.parametrize("name", ["results.parquet", "results.csv"])
def test_files_give_the_frame_back(tmp_path, name):
    frame = tidy_frame(awkward_results(), "run 1")
    write_frame(frame, tmp_path)
    pd.testing.assert_frame_equal(read_frame(tmp_path / name), frame, check_exact=True)


LATER = ("role", "beside", "word", "low", "high", "proportion")


@pytest.mark.parametrize("name", ["results.parquet", "results.csv"])
def test_a_frame_from_before_scores_said_how_they_are_shown_is_read(tmp_path, name):
    write_frame(tidy_frame(awkward_results(), "run 1").drop(columns=list(LATER)), tmp_path)
    frame = read_frame(tmp_path / name)
    assert set(frame["role"]) == {""}
    assert frame["low"].isna().all()
    assert not frame["proportion"].any()
    assert comparisons(*with_series(frame))[0].columns[0].ranked


def test_what_a_score_says_of_itself_is_in_its_row():
    told = score(role="told", beside="other", word="floor", low=-1.0, high=2.0, proportion=True)
    row = tidy_frame([result(evaluations=[evaluation(scores=(told,))])]).iloc[-1]
    assert [row[name] for name in LATER] == ["told", "other", "floor", -1.0, 2.0, True]


@pytest.mark.parametrize(
    ("kinds", "word"), [(["clips"], "clips"), (["texts", "texts"], "texts"), (["images", "texts"], "examples")]
)
def test_what_is_counted_has_the_word_of_its_kind(kinds, word):
    trained = [TrainingResult(status="ok", seconds=1.0, examples=9, counted=kind) for kind in kinds]
    frame = tidy_frame([result(seed=seed, training=training) for seed, training in enumerate(trained)])
    assert counted(frame) == word


def test_an_empty_frame_has_its_columns_and_survives(tmp_path):
    frame = tidy_frame([])
    assert list(frame.columns) == list(COLUMNS)
    write_frame(frame, tmp_path)
    pd.testing.assert_frame_equal(read_frame(tmp_path / "results.csv"), frame)
    pd.testing.assert_frame_equal(joined([]), frame)


def test_joined_runs_keep_every_row_and_every_column():
    one, two = tidy_frame([result()], "one"), tidy_frame([result(provenance={"gpu": "H"})], "two")
    both = joined([one, two])
    assert len(both) == len(one) + len(two)
    assert both["provenance.gpu"].tolist() == [""] * len(one) + ["H"] * len(two)
    assert both.dtypes["n"] == one.dtypes["n"]


def test_flattened_writes_what_is_no_text_as_json():
    flat = dict(flattened({"a": {"b": {"c": None}}, "d": [1, 2], "e": True}))
    assert flat == {"a.b.c": "null", "d": "[1, 2]", "e": "true"}
