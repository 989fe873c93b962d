"""The run folder: whole files or none, results that survive the round trip, artifacts published with their cell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import RequestError
from harness.records import (
    Budget,
    Cell,
    CellResult,
    CurvePoint,
    EvaluationResult,
    Picture,
    PluginRef,
    Request,
    Score,
    TrainConfig,
    TrainingResult,
)
from harness.store import RunFolder, dump_result, load_result, write_whole


def result(key: str = "k", **changes: object) -> CellResult:
    cell = Cell(
        method=PluginRef(name="vae", params={"beta": 4.0, "decoder": "mlp", "flag": True, "nothing": None}),
        kind="model",
        backbone=PluginRef(name="convnet"),
        source=PluginRef(name="digits"),
        targets=(PluginRef(name="digits"),),
        evaluations=(PluginRef(name="knn"),),
        device="cpu",
        precision="fp32",
        seed=3,
        budget=Budget(amount=2.5, unit="epochs"),
        train=TrainConfig(),
    )
    base = CellResult(key=key, cell=cell, identity={"seed": 3}, provenance={}, training=TrainingResult(status="ok"))
    return replace(base, **changes)


def score(value: float) -> Score:
    return Score(score="accuracy", value=value, unit="fraction", better="higher", primary=True, chance=0.1, n=9)


def evaluation(value: float = 0.5, pictures: tuple[Picture, ...] = ()) -> EvaluationResult:
    return EvaluationResult(
        target="digits", evaluation="knn", status="ok", key="e", scores=(score(value),), pictures=pictures
    )


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_back_bit_for_bit(value: float, loss: float) -> None:
    curve = (CurvePoint(examples=1, seconds=0.1, scalars={"loss": loss}),)
    stored = result(training=TrainingResult(status="ok", curve=curve), evaluations=(evaluation(value),))
    assert load_result(dump_result(stored)) == stored


def test_a_saved_cell_is_found_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run").create()
    saved = folder.save(result(), None)
    assert folder.stored() == {"k": saved}
    assert saved == result(files={})


def test_pictures_are_published_with_their_cell(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run").create()
    staged = folder.staging / "k-training"
    (staged / "digits-knn").mkdir(parents=True)
    (staged / "digits-knn" / "map.json").write_text("{}")
    picture = Picture(name="map", kind="scatter", file="digits-knn/map.json", caption="")
    kept = Picture(name="old", kind="image", file="artifacts/k/digits-fid/old.png", caption="")
    saved = folder.save(result(evaluations=(evaluation(pictures=(picture, kept)),)), staged)
    files = [entry.file for entry in saved.evaluations[0].pictures]
    assert files == ["artifacts/k/digits-knn/map.json", "artifacts/k/digits-fid/old.png"]
    assert (folder.path / files[0]).read_text() == "{}"
    assert not staged.exists()
    assert folder.stored()["k"] == saved


def test_a_second_phase_adds_to_the_artifacts_of_the_first(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run").create()
    for phase in ("training", "timing"):
        staged = folder.staging / phase
        (staged / phase).mkdir(parents=True)
        (staged / phase / "file").write_text(phase)
        folder.save(result(), staged)
    assert sorted(file.read_text() for file in (folder.artifacts / "k").rglob("file")) == ["timing", "training"]


def test_the_cells_of_a_run_are_those_of_its_last_request(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run").create()
    for key in ("a", "b", "c"):
        folder.save(result(key), None)
    folder.write_request(Request(), {}, ["c", "a", "not run yet"])
    assert [cell.key for cell in folder.load_cells()] == ["c", "a"]
    assert set(folder.stored()) == {"a", "b", "c"}


def test_a_file_of_another_version_is_left_alone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run").create()
    (folder.cells / "old.json").write_text('{"schema": 0}')
    assert folder.stored() == {}
    assert (folder.cells / "old.json").exists()


def test_a_broken_write_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    write_whole(file, "old")

    def full_disk(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_whole(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_discarded_cell_leaves_nothing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run").create()
    staged = folder.staging / "s"
    staged.mkdir()
    (staged / "method.safetensors").write_text("weights")
    folder.save(result(), staged)
    assert folder.checkpoint("k").exists()
    folder.discard("k")
    assert folder.stored() == {}
    assert not folder.checkpoint("k").exists()


def test_a_folder_that_is_no_run_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="is no run"):
        RunFolder(tmp_path).load_cells()
