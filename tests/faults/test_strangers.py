"""Code of others where it runs for the whole bench: it exits, crashes or hangs there, and the error says whose it was.

What exits here does so with 70, so that a bench that is not kept from it ends these tests with that, not with a pass.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import harness
from harness import rehearsal
from harness.cli import app
from harness.contract import beside
from harness.errors import BrokenPlugin
from harness.registry import hearers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="code of others runs beside this one on Linux alone")
ROOT = Path(__file__).parents[2]
METHOD = '''"""A method, or a dataset, that ends its process in one place."""
import ctypes, os, sys, time
from pathlib import Path
from torch import nn
from harness.plugin import DatasetSpec, DataSpec, ImageField, MethodSpec, hookimpl

def hang():
    while True:
        pass

def at_import(): {at_import}
def in_hook(): {in_hook}
def in_applies(): {in_applies}
def in_build(): {in_build}
def in_loss(): {in_loss}
def in_event(): {in_event}
def in_describe(): {in_describe}
def in_files(): {in_files}

class Mine(nn.Module):
    def __init__(self, backbone, data, config):
        super().__init__()
        self.backbone = backbone
        in_build()

    def loss(self, batch):
        in_loss()
        return self.backbone(batch.inputs).square().mean()

    def encode(self, images):
        return self.backbone(images)

def applies(data, config):
    in_applies()
    return ""

def describe(config, root):
    in_describe()
    return DataSpec(inputs=ImageField(channels=1, size=8), classes=("a", "b"))

def files(config, root):
    in_files()
    return [Path(__file__)]

def load(config, root):
    raise ValueError("never read")

@hookimpl
def harness_method():
    in_hook()
    return MethodSpec(name="mine", kind="pretext", build=Mine, applies=applies, source="a test")

@hookimpl
def harness_dataset():
    return DatasetSpec(name="my-data", describe=describe, files=files, load=load, source="a test")

@hookimpl
def harness_cell_finished(cell):
    in_event()

at_import()
'''
PLACES = ("at_import", "in_hook", "in_applies", "in_build", "in_loss", "in_event", "in_describe", "in_files")
EXIT, CRASH, HANG = "os._exit(70)", "ctypes.string_at(0)", "hang()"
SMALL = {"references": "none", "seeds": 1, "budget": "1 steps", "evaluations": "none", "progress": False}


def plugin(folder: Path, **ends: str) -> Path:
    file = folder / "mine.py"
    file.write_text(METHOD.format(**(dict.fromkeys(PLACES, "pass") | ends)))
    return file


@pytest.mark.parametrize(
    ("place", "end", "how"),
    [
        ("at_import", EXIT, r"ended the process, exit code 70 in at_import \(mine.py, line \d+\)"),
        ("at_import", CRASH, r"ended the process, SIGSEGV in at_import \(mine.py, line \d+\)"),
        ("at_import", HANG, r"gave no answer for 10 s in hang \(mine.py, line \d+\)"),
        ("in_hook", EXIT, r"ended the process, exit code 70 in in_hook \(mine.py"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, end: str, how: str
) -> None:
    monkeypatch.setattr(rehearsal, "LOADING", 10.0 if end == HANG else 60.0)
    file = plugin(tmp_path, **{place: end})
    with pytest.raises(BrokenPlugin, match=f"^plugin file {file} {how}"):
        harness.bench(str(file), **SMALL, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "ends", "how"),
    [
        ({}, {"in_applies": EXIT}, r"exit code 70 in in_applies \(mine.py"),
        ({}, {"in_applies": HANG}, r"gave no answer for 20 s in hang \(mine.py"),
        ({"datasets": "{file}"}, {"in_describe": CRASH}, r"SIGSEGV in in_describe \(mine.py"),
        ({"targets": "{file}"}, {"in_files": EXIT}, "exit code 70 in in_files"),
    ],
)
def test_a_plugin_that_ends_the_plan_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: dict[str, str], ends: dict[str, str], how: str
) -> None:
    monkeypatch.setattr(rehearsal, "PLANNING", 20.0 if HANG in ends.values() else 60.0)
    file = plugin(tmp_path, **ends)
    words = {"plugins": str(file), **{word: text.format(file=file) for word, text in words.items()}}
    with pytest.raises(BrokenPlugin, match=f"planning with plugin file {file} .*{how}"):
        harness.bench(**words, **SMALL, out=tmp_path / "run")


def test_a_dry_run_says_so_too(tmp_path: Path) -> None:
    file = plugin(tmp_path, at_import=EXIT)
    done = CliRunner().invoke(app, ["bench", "--plugins", str(file), "--dry-run", "--out", str(tmp_path / "run")])
    assert isinstance(done.exception, BrokenPlugin)


@pytest.mark.parametrize(
    ("end", "how"),
    [
        ("sys.exit(0)", "SystemExit: 0"),
        (EXIT, "it ended the process, exit code 70 in in_event (mine.py"),
        (HANG, "it gave no answer for 2 s in hang (mine.py, line "),
    ],
)
def test_an_event_that_ends_its_listener_is_told_once_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, end: str, how: str
) -> None:
    monkeypatch.setattr(hearers, "SECONDS", 2.0)
    file = plugin(tmp_path, in_event=end)
    with caplog.at_level(logging.WARNING, logger="harness"):
        results = harness.bench(str(file), **{**SMALL, "seeds": 2}, out=tmp_path / "run")
    assert (results.ok, len(results.cells)) == (True, 2)
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith(f"harness_cell_finished of plugin 'mine' failed, the run goes on: {how}")


@pytest.mark.parametrize(
    ("ends", "check", "how"),
    [
        ({"in_build": "sys.exit(0)"}, "", "SystemExit: 0"),
        ({"in_build": EXIT}, "", "it ended the process, exit code 70 in in_build (mine.py"),
        ({"in_loss": CRASH}, "", "it ended the process, SIGSEGV in in_loss (mine.py"),
        ({"in_build": HANG}, "", "it gave no answer for 40 s in hang (mine.py"),
        ({"at_import": EXIT}, "loads", "it ended the process, exit code 70 in at_import (mine.py"),
    ],
)
def test_a_check_of_a_plugin_that_ends_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: dict[str, str], check: str, how: str
) -> None:
    monkeypatch.setattr(beside, "SECONDS", 40.0 if HANG in ends.values() else 120.0)
    done = CliRunner().invoke(app, ["plugins", "check", str(plugin(tmp_path, **ends))])
    assert done.exit_code == 1
    failed = [line for line in done.output.splitlines() if line.startswith("FAILED")]
    assert [line for line in failed if how in line and check in line]


@pytest.mark.parametrize("end", [EXIT, CRASH])
def test_an_installed_dataset_that_ends_its_process_is_a_row(tmp_path: Path, end: str) -> None:
    """Beside the others; and the same where it is shown."""
    plugin(tmp_path, at_import=end)
    about = tmp_path / "strange-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[harness.datasets]\nmy-data = mine\n")
    surroundings = os.environ | {"PYTHONPATH": str(tmp_path), "COLUMNS": "300"}

    def told(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "harness", *words]
        return subprocess.run(command, capture_output=True, text=True, env=surroundings, cwd=ROOT, check=False)

    listed = told("datasets", "list")
    assert listed.returncode == 0
    (row,) = [line for line in listed.stdout.splitlines() if line.startswith("my-data")]
    assert "plugin 'my-data' of strange 1.0: it ended the process, " in row
    assert any(line.startswith("digits") for line in listed.stdout.splitlines())
    shown = told("datasets", "show", "my-data")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith("harness: error: dataset 'my-data' ended the process, ")
