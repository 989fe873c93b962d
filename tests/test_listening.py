"""Listeners hear a run, and one that is broken harms nothing: neither the run nor another listener."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.errors import BrokenPlugin, RequestError
from harness.listening import listening
from harness.plugin import hookimpl
from harness.registry import Registry

SMALL = {"plugins": "pixels", "references": "none", "seeds": 2, "evaluations": "none", "progress": False}
TRACKER = '''"""A tracker that goes wrong in one way."""
import sys
from dataclasses import dataclass
from pathlib import Path
from harness.plugin import TrackerSpec, hookimpl

@dataclass(frozen=True, kw_only=True)
class Config:
    way: str = "none"

class Tracker:
    def __init__(self, config, folder):
        self.way = config.way
        self.folder = folder
        if self.way == "build":
            raise ConnectionError("no such server")

    def note(self, word):
        with (self.folder / "heard.txt").open("a") as file:
            file.write(word + "\\n")

    @hookimpl
    def harness_cell_started(self, cell):
        self.note("started")
        if self.way == "raise":
            raise ValueError("no\\nlabel")
        if self.way == "exit":
            sys.exit(0)

    @hookimpl
    def harness_run_finished(self, results):
        self.note(f"finished {len(results)}")

    def close(self):
        self.note("closed")
        if self.way == "close":
            sys.exit(0)

@hookimpl
def harness_tracker():
    return TrackerSpec(name="noting", build=Tracker, config=Config, source="a test")
'''


@pytest.fixture
def tracker(tmp_path: Path) -> Path:
    file = tmp_path / "noting.py"
    file.write_text(TRACKER)
    return file


@pytest.mark.parametrize(
    ("way", "warnings"),
    [
        ("none", []),
        ("raise", ["harness_cell_started of tracker '{0}[way=raise]' failed, the run goes on: ValueError: no label"]),
        ("exit", ["harness_cell_started of tracker '{0}[way=exit]' failed, the run goes on: SystemExit: 0"]),
        ("close", ["close() of tracker '{0}[way=close]' failed: SystemExit: 0"]),
    ],
)
def test_a_tracker_that_raises_or_exits_is_reported_once_and_stops_nothing(
    tracker: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, way: str, warnings: list[str]
) -> None:
    with caplog.at_level(logging.WARNING, logger="harness"):
        results = harness.bench(**SMALL, out=tmp_path / "run", trackers=f"{tracker}[way={way}]")
    assert results.ok
    assert len(results.cells) == 2
    assert (tmp_path / "run" / "heard.txt").read_text().split("\n") == [
        "started", "started", "finished 2", "closed", ""
    ]  # fmt: skip
    assert [record.getMessage() for record in caplog.records] == [text.format(tracker) for text in warnings]


def test_a_method_whose_hook_exits_does_not_end_the_bench_silently(tmp_path: Path) -> None:
    plugin = tmp_path / "leaving.py"
    source = (Path(__file__).parent / "faults" / "bad_methods.py").read_text()
    plugin.write_text(f"{source}\n\n@hookimpl\ndef harness_cell_finished(result):\n    raise SystemExit(0)\n")
    words = ["--plugins", str(plugin), "--references", "pixels", "--seeds", "1", "--budget", "1 steps"]
    command = [sys.executable, "-m", "harness", "bench", *words, "--evaluations", "knn", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr.count("harness_cell_finished of plugin 'bad' failed, the run goes on: SystemExit: 0") == 1
    assert "[2/2]" in done.stderr
    assert (tmp_path / "run" / "index.html").exists()


def test_a_tracker_that_cannot_start_is_an_error_before_the_first_cell(tracker: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"tracker .* cannot start: ConnectionError: no such server"):
        harness.bench(**SMALL, out=tmp_path / "run", trackers=f"{tracker}[way=build]")
    assert list((tmp_path / "run" / "cells").iterdir()) == []


def test_a_tracker_is_in_no_cell(tracker: Path, tmp_path: Path) -> None:
    """A cell loads what it needs: a tracker's file may need what the machine of a cell does not have."""
    tracker.write_text(TRACKER + "\nif 'harness.cell' in sys.modules:\n    raise ImportError('in a cell')\n")
    script = f"import harness; assert harness.bench(**{SMALL!r}, out=r'{tmp_path / 'run'}', trackers=r'{tracker}').ok"
    subprocess.run([sys.executable, "-c", script], check=True)


class Sound:
    def __init__(self) -> None:
        self.heard: list[str] = []

    @hookimpl
    def harness_run_started(self, cells: int) -> None:
        self.heard.append(f"started {cells}")

    def close(self) -> None:
        self.heard.append("closed")


class Misspelt:
    @hookimpl
    def harness_cell_startet(self, cell: object) -> None: ...


class Unknown:
    @hookimpl
    def harness_cell_started(self, cel: object) -> None: ...


def test_listeners_are_closed_however_a_run_ends() -> None:
    registry, sound = Registry([]), Sound()

    def interrupted() -> None:
        with listening(registry, {"a listener": sound}):
            registry.tell("harness_run_started", request=None, cells=3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    registry.tell("harness_run_started", request=None, cells=4)
    assert sound.heard == ["started 3", "closed"]


@pytest.mark.parametrize(
    ("listener", "message"),
    [
        (object(), "it hears nothing: decorate a method with @hookimpl, of harness_cell_finished, "),
        (Misspelt(), "it listens to 'harness_cell_startet', which is no event: did you mean 'harness_cell_started'?"),
        (Unknown(), "it has an invalid hook: "),
    ],
)
def test_what_is_no_listener_is_said_before_the_run(listener: object, message: str) -> None:
    registry, sound = Registry([]), Sound()
    with pytest.raises(BrokenPlugin) as caught, listening(registry, {"sound": sound, "it": listener}):
        pass
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert sound.heard == ["closed"]
    assert registry.manager.get_plugins() == set()
