"""A bench of clips and one of texts, end to end: files as plugins, cells in processes of their own, reports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from toys import DATASETS, FILES, METHODS

import harness
from harness.store import RunFolder

JUDGES = "linear-probe,knn,clustering"
WORDS = {"seeds": 1, "set": ["train.batch_size=64", "train.learning_rate=3e-3"], "progress": False}


def bench(kind: str, out: Path, **words: object) -> harness.Results:
    file = str(FILES[kind])
    return harness.bench(file, **{"datasets": file, "backbone": file, "out": out} | WORDS | words)


@pytest.fixture(scope="module", params=["video", "text"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, harness.Results]:
    out = tmp_path_factory.mktemp("run") / request.param
    results = bench(
        request.param,
        out,
        references="random-init,supervised,pca",
        budget="200 steps",
        evaluations=f"{JUDGES},generalisation,representation,pretext,fid",
    )
    return request.param, results


def values(frame: pd.DataFrame, evaluation: str, score: str) -> dict[str, tuple[float, float]]:
    """(value, chance) by method."""
    rows = frame[(frame.evaluation == evaluation) & (frame.score == score)]
    return {row.method: (row.value, row.chance) for row in rows.itertuples()}


def test_every_score_is_above_chance(run: tuple[str, harness.Results]) -> None:
    kind, results = run
    assert results.ok, results.failures
    for evaluation, margin in (("linear-probe", 0.4), ("knn", 0.15), ("clustering", 0.02)):
        found = values(results.frame, evaluation, "accuracy")
        assert set(found) == {METHODS[kind], "random-init", "supervised"}
        assert all(value > chance + margin for value, chance in found.values()), found
    assert values(results.frame, "linear-probe", "accuracy")["supervised"][0] > 0.95
    assert values(results.frame, "generalisation", "test_accuracy")["supervised"][0] > 0.95
    value, chance = values(results.frame, "pretext", "accuracy")[METHODS[kind]]
    assert value > 1.3 * chance


def test_what_is_counted_has_the_name_of_the_kind(run: tuple[str, harness.Results]) -> None:
    kind, results = run
    counted = {"video": "clips", "text": "texts"}[kind]
    assert {cell.training.counted for cell in results.cells if cell.training.status == "ok"} == {counted}
    training = results.frame[(results.frame.evaluation == "training") & (results.frame.method == METHODS[kind])]
    units = dict(zip(training.score, training.unit, strict=True))
    assert (units["examples"], units["examples_per_second"]) == (counted, f"{counted}/s")
    page = (results.folder.path / "index.html").read_text()
    assert f"{counted} seen" in page
    assert f"held-out test {counted}" in page
    assert "images seen" not in page


def test_the_reports_are_there_with_the_classes_of_the_data(run: tuple[str, harness.Results]) -> None:
    kind, results = run
    report = (results.folder.path / "report.md").read_text()
    assert DATASETS[kind] in report
    assert METHODS[kind] in report
    page = (results.folder.path / "index.html").read_text()
    assert {"video": "right", "text": "kitchen"}[kind] in page  # a class, in the map of the features


def test_what_does_not_take_the_kind_is_skipped_with_the_reason(run: tuple[str, harness.Results]) -> None:
    kind, results = run
    holds = f"{DATASETS[kind]} holds {'clips' if kind == 'video' else 'texts'}"
    skipped = results.frame[results.frame.status == "skipped"]
    assert set(skipped[skipped.method == "pca"].reason) == {f"pca takes images, {holds}"}
    others = skipped[(skipped.evaluation == "fid") & (skipped.method != "pca")]
    assert set(others.reason) == {f"fid judges images, {holds}"}
    assert len(others) == 3


def test_texts_are_skipped_by_backbones_and_targets_of_images_with_the_reason(tmp_path: Path) -> None:
    file = str(FILES["text"])
    targets = harness.bench(
        file, datasets=file, backbone=file, targets=f"digits,{file},{file}[strange=true]", references="none",
        budget="2 steps", evaluations="knn", out=tmp_path / "targets", **WORDS,
    )  # fmt: skip
    assert targets.ok, targets.failures
    (only,) = targets.cells
    assert [(e.target, e.status) for e in only.evaluations] == [
        ("digits", "skipped"),
        ("sentences", "ok"),
        ("sentences[strange=true]", "ok"),
    ]
    assert only.evaluations[0].reason == "digits holds images, the method has learned from texts"
    backbone = harness.bench(
        file, datasets=file, backbone="convnet", references="random-init", budget="2 steps", evaluations="knn",
        out=tmp_path / "backbone", **WORDS,
    )  # fmt: skip
    assert backbone.ok
    assert {cell.training.reason for cell in backbone.cells} == {"convnet takes images, sentences holds texts"}


def test_clips_of_another_shape_are_judged_with_a_note(tmp_path: Path) -> None:
    file = str(FILES["video"])
    results = bench(
        "video", tmp_path / "run", targets=f"{file}[size=16,frames=8,channels=3]", references="none", budget="2 steps",
        evaluations="linear-probe",
    )  # fmt: skip
    assert results.ok, results.failures
    (judged,) = results.cells[0].evaluations
    assert judged.note == "changed from 8 frames of 16x16x3 to 6 frames of 12x12x1"
    assert judged.scores[0].value > 0.5  # a quarter by chance: motion is seen there too


def test_the_command_gives_the_numbers_of_python_whatever_the_jobs(tmp_path: Path) -> None:
    kind = "text"
    file = str(FILES[kind])
    words = ["--plugins", file, "--datasets", file, "--backbone", file, "--references", "random-init", "--seeds", "1"]
    words += ["--budget", "5 steps", "--evaluations", "knn", "--set", "train.batch_size=64", "--jobs", "2"]
    words += ["--set", "train.learning_rate=3e-3", "--out", str(tmp_path / "run")]
    done = subprocess.run([sys.executable, "-m", "harness", "bench", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert METHODS[kind] in done.stdout
    assert "fork" not in done.stderr + "".join(file.read_text() for file in (tmp_path / "run" / "logs").glob("*"))
    alone = bench(kind, tmp_path / "alone", references="random-init", budget="5 steps", evaluations="knn", jobs=1)
    folder = RunFolder(tmp_path / "run")
    stored = harness.Results(folder, tuple(folder.stored().values())).frame
    for method in (METHODS[kind], "random-init"):
        assert values(stored, "knn", "accuracy")[method] == values(alone.frame, "knn", "accuracy")[method]
