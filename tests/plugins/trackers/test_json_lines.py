"""json-lines: the events of real benches, as other programs read them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

import harness
from harness.errors import RequestError
from harness.registry import Registry

WORDS = {
    "plugins": "rotation",
    "references": "pixels",
    "seeds": 1,
    "budget": "20 steps",
    "evaluations": "knn,throughput",
}


def events(results: harness.Results, name: str = "events.jsonl") -> list[dict]:
    return [json.loads(line) for line in (results.folder.path / name).read_text().splitlines()]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> harness.Results:
    out = tmp_path_factory.mktemp("runs") / "run"
    trackers = ["json-lines", "json-lines[file=quiet.jsonl,scalars=false]"]
    return harness.bench(**WORDS, out=out, trackers=trackers, progress=False)


def test_a_run_is_told_from_its_start_to_its_end(results: harness.Results) -> None:
    told = events(results)
    assert (told[0]["event"], told[0]["cells"]) == ("run_started", 2)
    assert told[0]["request"]["plugins"] == ["rotation"]
    assert (told[-1]["event"], told[-1]["cells"], told[-1]["failed"]) == ("run_finished", 2, [])
    times = [datetime.fromisoformat(event["time"]) for event in told]
    assert times == sorted(times)
    assert all(time.tzinfo is not None for time in times)


def test_each_cell_is_said_in_full_once_and_is_a_number_from_then_on(results: harness.Results) -> None:
    told = events(results)
    started = [event for event in told if event["event"] == "cell_started"]
    assert len(started) == 4  # the timing is a second start of each
    full = {event["cell"]: event["method"]["name"] for event in started if "method" in event}
    assert sorted(full.values()) == ["pixels", "rotation"]
    for number, name in full.items():
        finished = [event for event in told if event["event"] == "cell_finished" and event["cell"] == number]
        (cell,) = [cell for cell in results.cells if cell.cell.method.name == name]
        assert {event["key"] for event in finished} == {cell.key}
        assert finished[-1]["training"]["loss"] == cell.training.loss
        stored = {(e.evaluation, s.score, s.value) for e in cell.evaluations for s in e.scores}
        said = finished[-1]["evaluations"]
        assert {(e["evaluation"], s["score"], s["value"]) for e in said for s in e["scores"]} == stored


def test_scalars_are_told_and_can_be_left_out(results: harness.Results) -> None:
    scalars = [event for event in events(results) if event["event"] == "scalars"]
    training = [event for event in scalars if event["stage"] == "training"]
    assert training[-1]["done"] == 1.0
    assert training[-1]["scalars"]["loss"] > 0
    quiet = events(results, "quiet.jsonl")
    kinds = ["run_started", *["cell_started", "cell_finished"] * 4, "run_finished"]
    assert sorted(event["event"] for event in quiet) == sorted(kinds)


def test_a_second_run_goes_on_in_the_same_file(results: harness.Results) -> None:
    before = (results.folder.path / "quiet.jsonl").read_text()
    harness.bench(**WORDS, out=results.folder.path, trackers="json-lines[file=quiet.jsonl]", progress=False)
    after = (results.folder.path / "quiet.jsonl").read_text()
    assert after.startswith(before)
    assert [json.loads(line)["event"] for line in after[len(before) :].splitlines()] == ["run_started", "run_finished"]


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    spec = Registry().load("json-lines", ("tracker",)).spec
    tracker = spec.build(spec.config(), tmp_path)
    tracker.write("scalars", scalars={"loss": float("nan"), "rate": [1.5, float("inf")]})
    tracker.close()
    (line,) = (tmp_path / "events.jsonl").read_text().splitlines()
    assert json.loads(line)["scalars"] == {"loss": None, "rate": [1.5, None]}


@pytest.mark.parametrize("file", ["../events.jsonl", "/tmp/events.jsonl", "results.csv", ".."])
def test_a_file_outside_the_run_is_refused(file: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"expected a name that ends in \.jsonl, without a folder"):
        harness.bench(**WORDS, out=tmp_path / "run", trackers=f"json-lines[file={file}]")
    assert not (tmp_path / "run").exists()
