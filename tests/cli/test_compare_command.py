"""`harness compare` and `harness export` as a user types them: exit codes, files, help."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from gate_runs import BASE, accuracies, write
from typer.testing import CliRunner

from harness.cli import app

WORSE = tuple(value - 0.05 + index / 1000 for index, value in enumerate(BASE))
NOISY = (0.93, 0.88, 0.91, 0.87, 0.915)


def harness(*words: object, **environment: str):
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "160"} | environment)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, values in (("main", BASE), ("same", BASE), ("worse", WORSE), ("noisy", NOISY)):
        write(folder / name, accuracies(values))
    write(folder / "short", accuracies(WORSE, budget="2 epochs"))
    return folder


@pytest.mark.parametrize(
    ("candidate", "options", "code"),
    [
        ("same", [], 0),
        ("worse", [], 1),
        ("noisy", [], 0),
        ("noisy", ["--undecided", "fail"], 4),
        ("short", [], 3),
        ("short", ["--across", "budget"], 1),
    ],
)
def test_exit_codes(runs, candidate, options, code):
    done = harness("compare", runs / "main", runs / candidate, *options)
    assert done.exit_code == code, done.output


def test_margins_from_a_file_and_policy_from_it(runs, tmp_path):
    file = tmp_path / "gate.toml"
    file.write_text('[[margin]]\nscore = "accuracy"\nmargin = 0.2\n')
    assert harness("compare", runs / "main", runs / "worse", "--margins", file).exit_code == 0
    file.write_text('undecided = "fail"\n')
    assert harness("compare", runs / "main", runs / "noisy", "--margins", file).exit_code == 4
    assert harness("compare", runs / "main", runs / "noisy", "--margins", file, "--undecided", "warn").exit_code == 0


def test_files_in_the_format_of_their_endings(runs, tmp_path):
    files = [tmp_path / "new" / f"compare{ending}" for ending in (".md", ".json", ".html", ".xml")]
    options = [word for file in files for word in ("--out", file)]
    assert harness("compare", runs / "main", runs / "worse", *options).exit_code == 1
    told, content, page, junit = (file.read_text() for file in files)
    assert told.startswith("### ❌")
    assert json.loads(content)["outcome"] == "regression"
    assert page.rstrip().endswith("</html>")
    assert ElementTree.fromstring(junit).tag == "testsuites"


def test_a_format_is_printed_alone(runs):
    done = harness("compare", runs / "main", runs / "same", "--format", "json")
    assert json.loads(done.stdout)["exit_code"] == 0


def test_github_gets_annotations_and_a_summary(runs, tmp_path):
    summary = tmp_path / "summary.md"
    done = harness("compare", runs / "main", runs / "worse", "--github", GITHUB_STEP_SUMMARY=str(summary))
    assert any(line.startswith("::error title=vae on digits") for line in done.stdout.splitlines())
    assert summary.read_text().startswith("### ❌")


def test_the_help_teaches(runs):
    told = harness("compare", "--help").output
    for word in ("[[margin]]", "equivalent", "Exit codes: 0 pass, 1 regression", "--across precision"):
        assert word in told


def test_export_to_a_file_and_to_standard_output(runs, tmp_path):
    file = tmp_path / "main.json"
    assert harness("export", "--format", "pytest-benchmark", runs / "main", "-o", file).exit_code == 0
    assert json.loads(file.read_text())["benchmarks"]
    assert harness("export", runs / "main", "--format", "csv").stdout.startswith("run,cell,")
