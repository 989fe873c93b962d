"""`results.samples()`: the pictures that a run kept, in its report's order, and only files that are what they were."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from example_run import example_results, write_run
from PIL import Image

import harness
from harness.errors import RequestError
from harness.records import Picture
from harness.report.samples import COLUMNS
from harness.store import RunFolder


def test_a_real_run_tells_its_pictures(trained):
    found = trained.samples()
    assert list(found.columns) == list(COLUMNS)
    assert set(found["label"]) == {"vae"}
    assert len(found) == sum(len(e.pictures) for cell in trained.cells for e in cell.evaluations) > 2
    rebuilt = found[found["name"] == "reconstructions"]
    assert list(rebuilt["seed"]) == [0, 1]
    assert set(rebuilt["evaluation"]) == {"reconstruction"}
    assert set(rebuilt["source"]) == set(rebuilt["target"]) == {"digits"}
    assert set(rebuilt["run"]) == {"trained"}
    for file in rebuilt["file"]:
        assert file.is_absolute()
        with Image.open(file) as image:
            assert image.size[0] > 8
    assert all(rebuilt["caption"])
    assert found.merge(trained.frame, on=["run", "label", "target", "seed", "evaluation"]).shape[0] > len(found)


def test_they_come_as_the_report_shows_them(example):
    found = harness.load(example).samples()
    page = (example / "report.md").read_text()
    order = list(found["name"].drop_duplicates())
    titles = {"reconstructions": "Reconstructions", "samples": "Samples", "captions": "Asked for in words",
              "interpolation": "Interpolation: from one image to another", "map": "Map of the features"}  # fmt: skip
    assert order == sorted(order, key=lambda name: page.index(f"## {titles[name]}"))
    maps = found[(found["name"] == "map") & (found["seed"] == 0)]
    shown = re.findall(r"^([^!\s]\S*) on (.+), seed 0: first two", page.partition("## Map of the features")[2], re.M)
    said = [(label.replace("\\", ""), where) for label, where in shown]
    where = [row.target if row.target == row.source else f"{row.source} → {row.target}" for row in maps.itertuples()]
    assert list(zip(maps["label"], where, strict=True)) == said
    assert list(found[found["name"] == "samples"]["seed"]) == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("name", ["jigsaw", "jigsaw[grid=3]"])
def test_a_method_alone_by_any_of_its_names(example, name):
    found = harness.load(example).samples(name)
    assert set(found["method"]) == {"jigsaw[grid=3]"}
    assert set(found["seed"]) == {0, 1}  # the cell of the third failed


def test_a_method_without_pictures_has_none_and_an_unknown_one_is_one_line(trained):
    none = trained.samples("random-init")
    assert none.empty
    assert list(none.columns) == list(COLUMNS)
    with pytest.raises(RequestError, match=r"no method 'vea' here: did you mean 'vae'\?"):
        trained.samples("vea")


def test_an_empty_run_has_no_pictures(tmp_path):
    RunFolder(tmp_path / "run").create()
    assert harness.load(tmp_path / "run").samples().empty
    with pytest.raises(RequestError, match="no method 'vae' here: there is none to choose from"):
        harness.load(tmp_path / "run").samples("vae")


def test_files_that_are_not_what_they_were_are_left_out_and_named(trained, tmp_path, capsys):
    import shutil

    shutil.copytree(trained.folder.path, tmp_path / "run")
    run = harness.load(tmp_path / "run")
    whole = run.samples()
    assert capsys.readouterr().err == ""
    first, second, *_ = whole["file"]
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 1
    first.write_bytes(content)
    second.unlink()
    left = run.samples()
    assert list(left["file"]) == list(whole["file"])[2:]
    told = capsys.readouterr().err
    assert told.startswith("harness: left out: ")
    assert told.count("\n") == 1
    assert f"{first.relative_to(tmp_path / 'run')} is damaged: its checksum is another" in told
    assert f"{second.relative_to(tmp_path / 'run')} is missing" in told
    assert "second" not in told


@pytest.mark.parametrize("way", ["above", "absolute", "link"])
def test_nothing_outside_of_the_run_is_told(tmp_path, way, capsys):
    """A stranger's run that names a file of mine, or a link to it."""
    secret = tmp_path / "secret.png"
    Image.new("L", (8, 8)).save(secret)
    folder = tmp_path / "run"
    results = example_results(folder, seeds=(0,), targets=("digits",))
    name = {"above": "../secret.png", "absolute": str(secret), "link": "artifacts/link.png"}[way]
    (folder / "artifacts" / "link.png").symlink_to(secret)
    stranger = Picture(name="samples", kind="image", file=name, caption="\x1b]0;title\x07 mine")
    told = [
        replace(r, evaluations=tuple(
            replace(e, pictures=(stranger,) if e.evaluation == "fid" and e.pictures else ()) for e in r.evaluations
        )) for r in results
    ]  # fmt: skip
    run = harness.load(write_run(folder, told))
    assert run.samples().empty
    error = capsys.readouterr().err
    assert len(error.splitlines()) <= 2  # one of them may be of the cell that names it
    assert "\x1b" not in error


def test_captions_of_strangers_are_shown_not_obeyed(tmp_path):
    folder = tmp_path / "run"
    results = [r for r in example_results(folder, seeds=(0,), targets=("digits",)) if r.cell.method.name == "vae"]
    told = [
        replace(r, evaluations=tuple(
            replace(e, pictures=tuple(replace(p, caption="\x1b[31m red") for p in e.pictures)) for e in r.evaluations
        )) for r in results
    ]  # fmt: skip
    found = harness.load(write_run(folder, told)).samples()
    assert len(found) > 3
    assert set(found["caption"]) == {"\\x1b[31m red"}


def test_several_runs_are_one_frame(tmp_path):
    one = write_run(tmp_path / "one", example_results(tmp_path / "one", seeds=(0,), targets=("digits",)))
    other = write_run(tmp_path / "two", example_results(tmp_path / "two", seeds=(1,), targets=("digits",)))
    found = harness.load(one, other).samples("vae")
    assert list(found[found["name"] == "samples"][["run", "seed"]].itertuples(index=False, name=None)) == [
        ("one", 0), ("two", 1),
    ]  # fmt: skip
    for run, file in zip(found["run"], found["file"], strict=True):
        assert file.is_file()
        assert file.is_relative_to((tmp_path / run).resolve())
