"""What was stored is verified when it is read: damage is said in one line, and mended by doing the work again."""

from __future__ import annotations

import json
import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from finished_run import WORDS
from flips import flip

import harness
from harness.data.cache import cached_array
from harness.errors import RequestError
from harness.plan import make_plan
from harness.registry import Registry
from harness.report import build
from harness.sealed import Damaged, sealed_json, sealed_toml, unsealed_json
from harness.sound import Unsound, sound
from harness.store import RunFolder, dump_result, load_result
from harness.suite import make_request

TUNED: dict[str, object] = dict.fromkeys(
    ("method", "backbone", "source", "budget", "train", "score", "unit", "chosen"), "vae"
)
TUNED |= {"better": "higher", "trials": [{"setting": "vae", "value": 0.5}, {"setting": "vae[beta=2]", "value": 0.4}]}


def frame_of(folder: Path):
    frame = harness.load(folder).frame
    timed = frame["score"].isin(["seconds", "examples_per_second"])
    return frame[~timed].drop(columns=["seconds", "finished", "run"]).reset_index(drop=True)


def again(folder: Path, **words: object):
    return harness.bench(**(WORDS | words), out=folder, progress=False)


def kept(folder: Path, pattern: str) -> Path:
    return next(iter(sorted(folder.glob(f"artifacts/*/{pattern}"))))


def flipped(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def some_cache(folder: Path) -> Path:
    """A cache with an array, an object and a network."""
    import numpy as np
    import torch

    from harness.data.cache import write_kept
    from harness.judging.kept_networks import kept_weights

    write_kept(folder / "a.json", {"precision": "fp32", "why": ""})
    kept_weights(folder, "net", lambda: {"w": torch.arange(30.0)})
    assert cached_array(str(folder / "a.npy"), (40,), lambda: np.arange(40, dtype=np.uint8))[7] == 7
    return folder


def test_no_flipped_bit_is_believed(run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    tried, believed = flip(run, some_cache(tmp_path / "cache"), 220, seed=1)
    assert len(tried) == 12
    assert believed == []


@pytest.mark.slow
def test_none_of_5000_flipped_bits_is_believed(run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    tried, believed = flip(run, some_cache(tmp_path / "cache"), 5000)
    assert sum(tried.values()) == 5000
    assert believed == []


def test_a_damaged_cell_is_named_and_made_again(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = frame_of(run)
    (file,) = (run / "cells").iterdir()
    flipped(file, 8 * 2000)
    (planned,) = make_plan(make_request(dict(WORDS)), Registry(), RunFolder(run)).cells
    assert (planned.state, planned.why) == ("to run", "its file is damaged: its checksum is another")
    with pytest.raises(RequestError, match="holds no finished cell"):
        build([RunFolder(run)], run)
    assert again(run).ok
    assert frame_of(run).equals(before)


@pytest.mark.parametrize("damage", ["flip", "other", "empty", "folder", "link", "gone"])
def test_weights_that_are_not_those_of_the_cell_are_trained_again(run: Path, tmp_path: Path, damage: str) -> None:
    whole = again(run, evaluations=f"{WORDS['evaluations']},linear-probe") if damage == "flip" else None
    weights = kept(run, "method.safetensors")
    if whole is not None:
        shutil.copytree(run, tmp_path / "whole")
        weights = kept(run, "method.safetensors")
    asked = "knn,reconstruction,representation,similarity,linear-probe"
    if damage == "flip":
        flipped(weights, 8 * (weights.stat().st_size - 40) + 3)
        asked += ",mlp-probe"
    elif damage == "other":
        content = bytearray(weights.read_bytes())
        content[-400:] = os.urandom(400)
        weights.write_bytes(content)
    elif damage == "empty":
        weights.write_bytes(b"")
    else:
        moved = tmp_path / "elsewhere"
        shutil.move(weights, moved)
        if damage == "folder":
            weights.mkdir()
        if damage == "link":
            weights.symlink_to(moved)
    (planned,) = make_plan(make_request(WORDS | {"evaluations": asked}), Registry(), RunFolder(run)).cells
    assert "it is trained and judged again" in planned.why
    assert planned.task.training is None
    assert len(planned.task.todo) == len(asked.split(","))
    if damage in ("other", "folder"):
        before = frame_of(run)
        results = again(run, evaluations=asked)
        assert results.ok
        after = frame_of(run)
        old = after[after["evaluation"].isin(before["evaluation"])].reset_index(drop=True)
        shared = [column for column in before.columns if not column.startswith("provenance")]
        assert old[shared].equals(before[shared])


def test_a_method_without_weights_is_not_trained_again_for_one_more_evaluation(tmp_path: Path) -> None:
    words = {"plugins": "pixels", "references": "none", "seeds": 1}
    assert harness.bench(**words, evaluations="knn", out=tmp_path / "run", progress=False).ok
    request = make_request(words | {"evaluations": "knn,linear-probe"})
    (planned,) = make_plan(request, Registry(), RunFolder(tmp_path / "run")).cells
    assert planned.why == "1 of 2 evaluations: linear-probe"


@pytest.mark.parametrize("name", ["plan.json", "environment.json", "request.toml", "looks.json", "tuning.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[[[[", b'{"keys": 7}', b"[" * 100_000, None])
def test_a_damaged_file_of_the_run_costs_itself(
    run: Path, name: str, content: bytes | None, capfd: pytest.CaptureFixture[str]
) -> None:
    if content is None:
        if not (run / name).exists():
            pytest.skip("this run has none")
        flipped(run / name, 8 * 60)
    else:
        (run / name).write_bytes(content)
    build([RunFolder(run)], run)
    said = capfd.readouterr().err
    assert f"damaged and left out: {name} (" in said
    assert said.count("\n") == 1
    assert f"{name} (" in (run / "index.html").read_text()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("looks.json", {"limit": 5, "taken": [{"seeds": 3, "alpha": 0.0}]}),
        ("looks.json", {"limit": 5, "taken": [{"seeds": 3, "alpha": float("nan")}]}),
        ("looks.json", {"limit": 5, "taken": [{"seeds": -1, "alpha": 0.01}]}),
        ("tuning.json", {"seed": 0, "tuned": []}),
        ("tuning.json", {"seed": 0, "tuned": [{**TUNED, "trials": []}]}),
        ("tuning.json", {"seed": 0, "tuned": [{**TUNED, "trials": [{"setting": "vae", "value": float("inf")}]}]}),
        ("request.toml", "parts = 5"),
        ("request.toml", "parts = [1, 2]"),
    ],
)
def test_words_of_a_run_that_mean_nothing_are_named(run: Path, name: str, content: object) -> None:
    """Their checksums fit: a stranger wrote them so."""
    whole = sealed_toml(content) if isinstance(content, str) else sealed_json(json.dumps(content).encode())
    (run / name).write_bytes(whole)
    folder = RunFolder(run)
    assert not (folder.request() if name == "request.toml" else getattr(folder, name.removesuffix(".json"))())
    assert f"damaged and left out: {name} (" in "".join(folder.notices)


@pytest.mark.parametrize("pattern", ["*/*.png", "*/map.json", "*/layers.json", "*/*.npz", "*/examples.npz"])
@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "flip", "folder", "link"])
def test_a_damaged_picture_costs_itself(run: Path, tmp_path: Path, pattern: str, damage: str) -> None:
    file = kept(run, pattern)
    if damage in ("folder", "link"):
        file.unlink()
        if damage == "folder":
            file.mkdir()
        else:
            (tmp_path / "secret").write_text("the secret")
            file.symlink_to(tmp_path / "secret")
    elif damage == "flip":
        flipped(file, 8 * 50)
    else:
        file.write_bytes({"cut": file.read_bytes()[:20], "empty": b"", "noise": b"\x89PNG" + os.urandom(200)}[damage])
    build([RunFolder(run)], run)
    page = (run / "index.html").read_text()
    assert "accuracy" in page
    if file.suffix != ".npz":
        assert file.name in page  # is named
    assert "the secret" not in page


def rewritten(run: Path, **changes: object) -> None:
    """The cell's file with other content, and a checksum that fits."""
    (result,) = RunFolder(run).load_cells()
    (run / "cells" / f"{result.key}.json").write_bytes(sealed_json(dump_result(replace(result, **changes))))


@pytest.mark.parametrize(
    "change",
    [
        ('"seed": 0', '"seed": 1180591620717411303424'),
        ('"seed": 0', '"seed": -1'),
        ('"seed": 0', '"seed": 9223372036854775808'),
        ('"high": 1.0', '"high": 0.01'),
        ('"n": ', '"n": -'),
        ('"parameters": ', '"parameters": 99999999999999999999'),
        ('"unit": "fraction"', '"unit": "' + "m" * 1_000_000 + '"'),
    ],
    ids=["2^70", "negative", "2^63", "beyond its range", "negative n", "many weights", "long unit"],
)
def test_a_cell_of_nonsense_is_named_and_left_out(run: Path, change: tuple[str, str]) -> None:
    folder = RunFolder(run)
    (file,) = folder.cells.iterdir()
    text = unsealed_json(file.read_bytes()).decode()
    assert change[0] in text
    file.write_bytes(sealed_json(text.replace(*change).encode()))
    assert folder.stored() == {}
    assert list(folder.damage) == [f"cells/{file.name}"]
    assert len(folder.notices) == 1


def test_what_lies_in_cells_and_is_none_costs_nothing(run: Path, tmp_path: Path) -> None:
    (file,) = (run / "cells").iterdir()
    (run / "cells" / "folder.json").mkdir()
    (run / "cells" / "dangling.json").symlink_to(tmp_path / "nothing")
    (run / "cells" / "other.json").write_bytes(file.read_bytes())
    os.mkfifo(run / "cells" / "pipe.json")
    folder = RunFolder(run)
    assert len(folder.load_cells()) == 1
    assert sorted(folder.damage) == [f"cells/{name}.json" for name in ("dangling", "folder", "other", "pipe")]
    build([RunFolder(run)], run)


def test_a_folder_in_the_place_of_a_cell_is_put_aside(run: Path) -> None:
    (file,) = (run / "cells").iterdir()
    file.unlink()
    file.mkdir()
    (file / "mine.txt").write_text("kept")
    assert again(run).ok
    assert file.is_file()
    assert [one.read_text() for one in (run / "cells").rglob("mine.txt")] == ["kept"]


def test_provenance_without_a_key_is_no_traceback(run: Path) -> None:
    rewritten(run, provenance={}, identity={})
    build([RunFolder(run)], run)
    rewritten(run, provenance={"keyed": "nothing"})
    assert again(run, plugins="vae[latent_dim=3]").ok


def test_a_run_of_an_older_version_is_read_and_said(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (file,) = (run / "cells").iterdir()
    result = load_result(unsealed_json(file.read_bytes()))
    file.write_bytes(dump_result(replace(result, files=None)))
    for name in ("environment.json", "plan.json"):
        (run / name).unlink()
    (run / "plan.json").write_text(json.dumps([result.key], indent=0))
    (run / "environment.json").write_text(json.dumps({"command": "harness bench"}, indent=2))
    build([RunFolder(run)], run)
    said = "1 cells were written by an older version, without checksums"
    assert f"harness: {run}: {said}" in capfd.readouterr().err
    for name in ("index.html", "report.md"):  # which are read on other machines
        text = (run / name).read_text(encoding="utf-8")
        assert f"{run.name}: {said}" in text
        assert str(run) not in text
    assert "data:image/png" in (run / "index.html").read_text()


def test_a_checksum_is_of_all_that_stands_beside_it() -> None:
    whole = sealed_json(b'{\n "a": 1}')
    assert unsealed_json(whole) == b'{\n "a": 1}'
    for bit in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged):
            unsealed_json(bytes(changed), b'{\n "a": ')


def test_what_a_cell_can_have_is_sound(run: Path) -> None:
    (result,) = RunFolder(run).load_cells()
    assert sound(result) is result
    with pytest.raises(Unsound, match="not finite, or beyond"):
        sound(replace(result, training=replace(result.training, seconds=1e301)))
    for odd in ({"identity": {"train": None}}, {"provenance": {"keyed": "abc"}}):
        with pytest.raises(Unsound, match="is no table"):
            sound(replace(result, **odd))
    with pytest.raises(Unsound, match="fewer than 0 seconds"):
        sound(replace(result, training=replace(result.training, seconds=-1.0)))
