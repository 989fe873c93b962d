"""The action and the workflow for users: valid, safe, and run with a `harness` that only notes how it was called."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.cli import gate as command
from harness.contract.kit import check_plugin
from harness.gate.findings import EXIT_CODES
from harness.gate.margins import read_margins
from harness.registry import Registry
from harness.suite import read_suite

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples" / "gate"
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
WORKFLOW = ROOT / "docs" / "ci" / "harness-gate.yml"
PAGE = ROOT / "docs" / "gate-in-ci.md"
HOSTILE = ("$(touch pwned)", "`touch pwned`", "'; touch pwned; '", '" && touch pwned', "a b", "--inject=5%", "*")
COMMAND = """#!{python}
import json, os, pathlib, sys
pathlib.Path(os.environ["NOTED"]).write_text(json.dumps(sys.argv[1:]))
outcome, code = os.environ["ANSWER"].split(":")
out = [pathlib.Path(sys.argv[at + 1]) for at, word in enumerate(sys.argv) if word == "--out"]
for file in out if outcome else ():
    file.write_text(json.dumps({{"outcome": outcome}}))
sys.exit(int(code))
"""
Gate = Callable[..., tuple[subprocess.CompletedProcess[str], list[str], dict[str, str]]]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = spec_from_file_location("pull_request", FOLDER / "pull_request.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def gate(example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Run the gate's step of the action; its process, what `harness` was called with, and its outputs."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "harness").write_text(COMMAND.format(python=sys.executable))
    (programs / "harness").chmod(0o755)
    noted = tmp_path / "noted.json"
    monkeypatch.setenv("NOTED", str(noted))

    def run(
        folder: Path, inputs: Mapping[str, str] = {}, github: Mapping[str, str] = {}, answer: str = "pass:0"
    ) -> tuple[subprocess.CompletedProcess[str], list[str], dict[str, str]]:
        monkeypatch.setenv("ANSWER", answer)
        folder.mkdir(exist_ok=True)
        done = example.run_step("Gate", folder, inputs, github, capture=True, programs=programs)
        said = example.outputs(folder) if (tmp_path / "runner" / "output").exists() else {}
        return done, json.loads(noted.read_text()) if noted.exists() else [], said

    return run


# The files. -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "file"), [("vendor.github-actions", ROOT / "action.yml"), ("vendor.github-workflows", WORKFLOW)]
)
def test_github_takes_the_file(schema: str, file: Path) -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed: pip install 'harness[check]'")
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def scripts() -> list[tuple[str, str]]:
    return [(step["name"], step["run"]) for step in ACTION["runs"]["steps"] if "run" in step]


@pytest.mark.parametrize(("name", "script"), scripts())
def test_text_from_outside_reaches_no_script(name: str, script: str) -> None:
    assert "${{" not in script
    code = "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("#"))
    assert "eval" not in code


@pytest.mark.parametrize(("name", "script"), scripts())
def test_shellcheck_finds_nothing(name: str, script: str) -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", "-s", "bash", "-"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_input_is_used_and_every_output_said() -> None:
    text = (ROOT / "action.yml").read_text()
    assert {name for name in ACTION["inputs"] if f"inputs.{name}" not in text} == set()
    said = set(re.findall(r'echo "([a-z-]+)=', dict(scripts())["Gate"]))
    assert {re.findall(r"outputs\.([a-z-]+)", about["value"])[0] for about in ACTION["outputs"].values()} <= said
    assert all(about["description"] for about in (*ACTION["inputs"].values(), *ACTION["outputs"].values()))


def test_the_workflow_needs_no_token_and_has_the_history() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow[True]) == {"pull_request"}  # `on` is a truth value of YAML 1.1
    checkout, harness = workflow["jobs"]["gate"]["steps"]
    assert checkout["with"] == {"fetch-depth": 0, "persist-credentials": False}
    assert set(harness["with"]) <= set(ACTION["inputs"])


# The step. ------------------------------------------------------------------------------------------------------------


def test_it_runs_the_gate_with_what_was_said(gate: Gate, tmp_path: Path) -> None:
    words = {name: f"a {name}" for name in ("plugins", "datasets", "seeds", "budget", "margins", "undecided", "base")}
    more = {"suite": "gate.toml", "minutes": "3", "tiers": "exact", "arguments": "--set\nvae.beta=2\n\n--all"}
    done, called, said = gate(tmp_path / "here", {**words, **more})
    assert done.returncode == 0
    assert called[:2] == ["gate", "--github"]
    assert called[-5:] == ["--set", "vae.beta=2", "--all", "--", "gate.toml"]
    assert {f"--{name}=a {name}" for name in words} | {"--tiers=exact", "--minutes=3"} <= set(called)
    written = [Path(called[at + 1]).name for at, word in enumerate(called) if word == "--out"]
    assert sorted(written) == ["gate.html", "gate.json", "gate.md", "gate.xml"]
    assert Path(said["summary"]).name == "gate.md"
    assert Path(said["report"]).is_file()


def test_every_option_is_one_of_the_gate(gate: Gate, tmp_path: Path) -> None:
    _, called, _ = gate(tmp_path / "here", dict.fromkeys(ACTION["inputs"], "x"))
    options = {word.partition("=")[0].lstrip("-").replace("-", "_") for word in called if re.match("--[a-z]", word)}
    assert options <= set(command.gate.__annotations__)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_input_is_read_by_the_shell(gate: Gate, tmp_path: Path, text: str) -> None:
    inputs = dict.fromkeys(("suite", "base", "plugins", "margins", "minutes", "arguments"), text)
    done, called, _ = gate(tmp_path / "here", inputs)
    assert done.returncode == 0
    assert [called.count(f"--{name}={text}") for name in ("base", "plugins", "margins", "minutes")] == [1, 1, 1, 1]
    assert called[-3:] == [text, "--", text]
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize(
    "answer", ["pass:0", "regression:1", "cannot compare:3", "inconclusive:4", "inconclusive:0", ":1", ":2"]
)
def test_the_outcome_is_told_and_the_exit_code_kept(gate: Gate, tmp_path: Path, answer: str) -> None:
    done, _, said = gate(tmp_path / "here", answer=answer)
    outcome, code = answer.split(":")
    assert (str(done.returncode), said["exit-code"], said["outcome"]) == (code, code, outcome or "error")
    assert ("::error title=harness gate::nothing was compared" in done.stdout) == (not outcome)


# The base. ------------------------------------------------------------------------------------------------------------


def base_in(called: list[str]) -> list[str]:
    return [word.removeprefix("--base=") for word in called if word.startswith("--base")]


def test_the_base_of_a_merged_pull_request_is_what_it_was_merged_with(
    gate: Gate, example: ModuleType, tmp_path: Path
) -> None:
    here = example.repository(tmp_path / "here")
    merged = example.git(here, "rev-parse", "HEAD")
    first = example.git(here, "rev-parse", "HEAD^1")
    example.git(here, "switch", "--quiet", "main")
    (here / "other.txt").write_text("somebody else was faster\n")
    example.commit(here, "Meanwhile on main")
    example.git(here, "update-ref", "refs/remotes/origin/main", "main")
    for head in (merged, "safer-loss"):  # as it is checked out by itself, and with `ref:` of the branch
        example.git(here, "switch", "--quiet", "--detach", head)
        assert base_in(gate(here, github={"base_ref": "main"})[1]) == [first]
    assert base_in(gate(here, {"base": "v1"}, {"base_ref": "main"})[1]) == ["v1"]


def test_a_cut_history_is_said(gate: Gate, example: ModuleType, tmp_path: Path) -> None:
    example.repository(tmp_path / "whole")
    example.git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{tmp_path / 'whole'}", "here")
    done, called, _ = gate(tmp_path / "here", github={"base_ref": "main"})
    assert (done.returncode, called) == (2, [])
    assert "fetch-depth: 0" in done.stdout


def test_a_push_is_compared_with_what_it_replaced(gate: Gate, tmp_path: Path) -> None:
    assert base_in(gate(tmp_path / "here", github={"event.before": "0abc0"})[1]) == ["0abc0"]
    assert base_in(gate(tmp_path / "here", github={"event.before": "0" * 40})[1]) == []
    queue = {"event.merge_group.base_sha": "123", "event.before": "456"}
    assert base_in(gate(tmp_path / "here", github=queue)[1]) == ["123"]


# The example, and the page. -------------------------------------------------------------------------------------------


def test_the_method_keeps_the_contract(tmp_path: Path) -> None:
    registry = Registry()
    (plugin,) = registry.load_file(FOLDER / "my_method.py")
    checks = check_plugin(plugin, registry, tmp_path)
    assert [check for check in checks if check.status not in ("ok", "skipped")] == []
    assert read_suite(FOLDER / "gate.toml")["plugins"] == ["my-method"]
    assert read_margins(FOLDER / "margins.toml").policy == "warn"


def test_the_page_shows_the_files_as_they_are() -> None:
    page = PAGE.read_text()
    shown = [WORKFLOW, FOLDER / "gate.toml", FOLDER / "margins.toml", FOLDER / "pyproject.toml"]
    assert [file.name for file in shown if file.read_text().strip() not in page] == []
    change = [line for line in (FOLDER / "slower.patch").read_text().splitlines() if re.match(r"[+-] ", line)]
    assert [line for line in change if line not in page] == []


def test_the_page_names_every_input_output_and_exit_code() -> None:
    page = PAGE.read_text()
    assert {name for name in (*ACTION["inputs"], *ACTION["outputs"]) if f"`{name}`" not in page} == set()
    codes = re.findall(r"(\d) [a-z]+", EXIT_CODES)
    assert [code for code in codes if f"| {code} |" not in page] == []


@pytest.mark.slow
def test_the_slower_pull_request_is_refused_for_real(example: ModuleType, tmp_path: Path) -> None:
    here = example.repository(tmp_path / "here")
    inputs = {**example.inputs_of_workflow(), "minutes": "2"}
    done = example.run_step("Gate", here, inputs, {"base_ref": "main"}, capture=True)
    said: dict[str, Any] = json.loads(Path(example.outputs(here)["summary"]).with_name("gate.json").read_text())
    worse = {(row["evaluation"], row["score"]) for row in said["rows"] if row["gated"] and row["verdict"] == "worse"}
    assert (done.returncode, example.outputs(here)["outcome"]) == (1, "regression"), done.stdout + done.stderr
    assert ("step", "time") in worse
    assert "::error title=my-method on digits%3A " in done.stdout
    assert os.path.getsize(tmp_path / "runner" / "summary.md") > 500
