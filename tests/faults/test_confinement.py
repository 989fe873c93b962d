"""Nothing outside of a run, or of --out, is read, written or removed, whatever a plugin or a stranger's run names."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness
from harness.confined import Outside, inside, moved_files
from harness.errors import RequestError
from harness.records import EvaluationResult, Picture
from harness.report import build
from harness.sealed import sealed_json
from harness.store import RunFolder, dump_result

NAMES = ["../secret.png", "artifacts/../../secret.png", "/abs", "", ".", "..", "a/../..", "a\\..\\..", "x\0y", "a/"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Outside):
        inside(tmp_path, name)


@given(st.text(max_size=30))
def test_a_name_leads_in_or_is_refused(name: str) -> None:
    folder = Path("/nowhere/run")
    try:
        path = inside(folder, name)
    except Outside:
        return
    assert path.is_relative_to(folder)
    assert ".." not in path.parts
    assert path != folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """What lies beside the run, and must stay as it is."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / ".bashrc").write_text("the user's own secret")
    (folder / "secret.png").write_text("the user's own secret")
    return folder


def content_of(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def hostile(run: Path, file: str) -> None:
    """The cell of a run says that its pictures and examples lie at `file`; its checksums say nothing against it."""
    (result,) = RunFolder(run).load_cells()
    evaluations = tuple(
        replace(e, pictures=tuple(replace(p, file=file) for p in e.pictures), examples=file if e.examples else "")
        for e in result.evaluations
    )
    changed = replace(result, evaluations=evaluations, files=None)
    (run / "cells" / f"{result.key}.json").write_bytes(sealed_json(dump_result(changed)))


@pytest.mark.parametrize("file", ["../home/secret.png", "{home}/secret.png", "link", "linked/secret.png"])
def test_a_report_reads_nothing_outside_of_its_run(run: Path, home: Path, file: str) -> None:
    (run / "link").symlink_to(home / "secret.png")
    (run / "linked").symlink_to(home)
    hostile(run, file.format(home=home))
    before = content_of(home)
    build([RunFolder(run)], run)
    build([RunFolder(run)], run.parent / "out")
    import base64

    for out in (run, run.parent / "out"):
        page = (out / "index.html").read_text()
        assert "own secret" not in page
        assert base64.b64encode(b"the user's own secret").decode() not in page
        assert not [f for f in out.rglob("*") if not f.is_symlink() and f.is_file() and b"own secret" in f.read_bytes()
                    and "linked" not in f.parts]  # fmt: skip
    assert content_of(home) == before


@pytest.mark.parametrize("name", ["index.html", "report.md", "results.csv", "results.parquet", "figures", "pictures"])
def test_a_report_writes_through_no_link(run: Path, home: Path, name: str) -> None:
    for place in (run, run.parent / "out"):
        place.mkdir(exist_ok=True)
        if (place / name).is_dir():
            shutil.rmtree(place / name)
        (place / name).unlink(missing_ok=True)
        folder = "." not in name
        (place / name).symlink_to(home if folder else home / ".bashrc")
        (place / "report.md").unlink(missing_ok=True) if folder else None
        if folder:
            (place / "report.md").write_text("![a](figures/.bashrc) ![b](pictures/.bashrc) ![c](figures/..)")
        before = content_of(home)
        build([RunFolder(run)], place)
        assert content_of(home) == before
        assert not (place / name).is_symlink() or name == "pictures"
    assert "accuracy" in (run / "index.html").read_text()


@pytest.mark.parametrize("name", ["cells", "artifacts", "logs", "staging"])
def test_a_run_whose_folder_is_a_link_is_refused(run: Path, home: Path, name: str) -> None:
    shutil.rmtree(run / name)
    (run / name).symlink_to(home)
    with pytest.raises(RequestError, match=f"{name} is a link"):
        build([RunFolder(run)], run)
    with pytest.raises(RequestError, match=f"{name} is a link"):
        RunFolder(run).create()


def test_links_among_artifacts_are_left_and_what_they_lead_to_stays(tmp_path: Path, home: Path) -> None:
    staged = tmp_path / "staged"
    (staged / "own").mkdir(parents=True)
    (staged / "own" / "a.txt").write_text("a")
    (staged / "own" / "folder").symlink_to(home)
    (staged / "own" / "file").symlink_to(home / ".bashrc")
    target = tmp_path / "target"
    target.mkdir()
    (target / "own").symlink_to(home)
    before = content_of(home)
    assert moved_files(staged, target) == ["own/a.txt"]
    assert content_of(home) == before
    assert content_of(target) == {"own/a.txt": "a"}


@pytest.mark.parametrize("file", ["../x.png", "link.png", "folder", "gone.png", "/tmp/x.png"])
def test_an_evaluation_that_names_what_is_no_file_of_its_own_fails(run: Path, home: Path, file: str) -> None:
    folder = RunFolder(run)
    (result,) = folder.load_cells()
    staged = folder.staging / "staged"
    (staged / "folder").mkdir(parents=True)
    (staged / "link.png").symlink_to(home / "secret.png")
    bad = EvaluationResult(target="digits", evaluation="mine", status="ok", key="k")
    bad = replace(bad, pictures=(Picture(name="p", kind="image", file=file, caption=""),))
    saved = folder.save(replace(result, evaluations=(*result.evaluations, bad)), staged)
    assert [e.status for e in saved.evaluations] == ["ok"] * (len(saved.evaluations) - 1) + ["failed"]
    assert saved.evaluations[-1].reason.startswith("what it keeps to be shown: ")
    assert content_of(home)["secret.png"] == "the user's own secret"


PLUGIN = """
from dataclasses import dataclass
from pathlib import Path
import torch
from harness.plugin import EvaluationSpec, ScoreSpec, hookimpl

@dataclass(frozen=True, kw_only=True)
class Config:
    way: str = ""

def run(subject, config):
    name = {{"up": "../../../../escaped", "abs": "{home}/escaped", "esc": "a\\x1b]0;x\\x07"}}.get(config.way, "twice")
    subject.show_images(name, torch.rand(4, 1, 8, 8), 2, "")
    if config.way == "twice":
        subject.show_images(name, torch.rand(4, 1, 8, 8), 2, "")
    if config.way == "link":
        Path(subject.pictures[0].file).with_name("linked").symlink_to("{home}")
    return {{"one": 1.0}}

@hookimpl
def harness_evaluation():
    return EvaluationSpec(name="mine", run=run, config=Config, source="own",
        scores=(ScoreSpec(name="one", unit="", better="higher", primary=True),))
"""


def test_pictures_of_a_plugin_stay_in_its_folder(tmp_path: Path, home: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(PLUGIN.format(home=home))
    judges = ",".join(f"{plugin}[way={way}]" for way in ("up", "abs", "esc", "twice", "link"))
    before = content_of(home)
    results = harness.bench(
        "none", references="pixels", seeds=1, evaluations=f"{judges},knn", out=tmp_path / "run", progress=False
    )
    assert content_of(home) == before
    assert not list(tmp_path.rglob("*escaped*"))
    (cell,) = results.cells
    told = {e.evaluation.partition("way=")[2].rstrip("]"): (e.status, e.reason) for e in cell.evaluations}
    assert [told[way][0] for way in ("up", "abs", "esc", "twice", "link")] == ["failed"] * 4 + ["ok"]
    assert "out of its folder" in told["up"][1]
    assert "name of an earlier one" in told["twice"][1]
    assert "\x1b" not in "".join(reason for _, reason in told.values())
    assert told[""] == ("ok", "")
