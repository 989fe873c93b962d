"""`harness history` as a user types it."""

from __future__ import annotations

import csv
import io
import json

import pytest
from test_history import HERE, KNN, START, STEP, append, commit, found
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import RequestError


def harness(*words: object):
    return CliRunner().invoke(app, ["history", *map(str, words)], env={"COLUMNS": "160"})


@pytest.fixture
def file(tmp_path):
    """A creep of 1 % each."""
    for at in range(1, 8):
        append(
            tmp_path / "gates.jsonl", found(STEP, KNN), commit=commit(at), base=commit(at - 1), when=START, machine=HERE
        )
    return tmp_path / "gates.jsonl"


def test_a_table_for_each_machine(file):
    done = harness(file)
    assert done.exit_code == 0, done.output
    assert "A processor, 2 cores, 1 threads, AVX2, torch 2.9.0" in done.output
    assert f"drift beyond the margin since {commit(0)[:9]}: +7.2 %" in done.output
    assert "▁" in done.output
    assert "█" in done.output


def test_drift_fails_on_request(file):
    assert harness(file, "--fail-on-drift").exit_code == 1
    assert harness(file, "--fail-on-drift", "--row", "KNN").exit_code == 0
    assert harness(file, "--fail-on-drift", "--since", commit(5)).exit_code == 0


def test_formats_and_files(file, tmp_path):
    outs = [tmp_path / f"out/history{ending}" for ending in (".md", ".json", ".csv")]
    done = harness(file, "--format", "json", *(word for each in outs for word in ("--out", each)))
    said = json.loads(done.stdout)
    assert said["drift"] is True
    assert said["rows"][0]["drift"]["gates"] == 7
    assert outs[0].read_text().startswith("### A processor")
    assert json.loads(outs[1].read_text()) == said
    lines = list(csv.DictReader(io.StringIO(outs[2].read_text())))
    assert len(lines) == 14
    assert float(lines[6]["level"]) == pytest.approx(1.01**7 - 1)


def test_a_damaged_line_is_told(file):
    file.write_bytes(file.read_bytes()[:-20])
    assert "line 7 is left out: cut off before its end" in harness(file).output


def test_a_comparison_is_added(file, tmp_path):
    content = tmp_path / "found.json"
    content.write_text(json.dumps(found(STEP).as_json()))
    new = tmp_path / "new.jsonl"
    done = harness(new, "--add", content, "--commit", "1234567", "--base", "7654321", "--format", "json")
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["rows"]
    assert (row["links"][0]["commit"], row["links"][0]["base"]) == ("1234567", "7654321")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "txt"], "no format 'txt'"),
        (["--out", "x.txt"], "the ending says the format"),
        (["--row", "nobody"], "no row has 'nobody' in its name"),
        (["--since", "ffffffff"], "no gate has that candidate"),
        (["--commit", "1234567"], "say which, with --add"),
        (["--add", "nothing.json"], "cannot read nothing.json"),
    ],
)
def test_bad_requests(file, words, message):
    done = harness(file, *words)
    assert isinstance(done.exception, RequestError)
    assert message in str(done.exception)


def test_files_that_are_no_history_and_no_comparison(tmp_path):
    assert "cannot read the history" in str(harness(tmp_path / "none").exception)
    empty = tmp_path / "empty"
    empty.write_text("")
    assert "holds no gate" in str(harness(empty).exception)
    bad = tmp_path / "bad.json"
    bad.write_text('{"rows": []}')
    assert "cannot add" in str(harness(empty, "--add", bad, "--commit", "1234567").exception)
