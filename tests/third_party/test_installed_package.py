"""A stranger's package, installed by pip as anyone would, and beside it packages that are wrong in every way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.sealed import sealed_json, unsealed_json

PACKAGE = Path(__file__).parent / "contrast"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, a broken one, one with a misspelt hook, and one that takes a built-in's name."""
    source = tmp_path_factory.mktemp("source") / "contrast"
    shutil.copytree(PACKAGE, source)  # setuptools writes its build folder beside the sources
    target = tmp_path_factory.mktemp("site")
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", target, source], check=True)
    misspelt = "from harness.plugin.hookspecs import hookimpl\n@hookimpl\ndef harness_metod(): pass\n"
    for name, content in (("broken", "import no_such_package"), ("misspelt", misspelt), ("digits", "x = 1")):
        (target / f"stranger_{name}.py").write_text(content)
        info = target / f"stranger_{name}-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: stranger-{name}\nVersion: 0.1\n")
        group = "datasets" if name == "digits" else "models"
        (info / "entry_points.txt").write_text(f"[harness.{group}]\n{name} = stranger_{name}\n")
    return target


def harness(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    code = "from harness.cli import main; main()"
    command = [sys.executable, "-c", code, "plugins", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_everything_is_listed_and_the_duplicate_is_marked(site: Path) -> None:
    listed = harness(site)
    assert listed.returncode == 0, listed.stderr
    lines = [line.split() for line in listed.stdout.splitlines()]
    assert ["instance-contrast", "harness-contrast", "2.5", "Instance", "contrast:"] in [line[:5] for line in lines]
    assert ["feature-norm", "harness-contrast", "2.5"] in [line[:3] for line in lines]
    assert ["broken", "stranger-broken", "0.1"] in [line[:3] for line in lines]
    assert sum("DUPLICATE," in line for line in lines) == 2
    rows = json.loads(harness(site, "list", "--json", "--kind", "pretext").stdout)
    row = next(row for row in rows if row["name"] == "instance-contrast")
    assert row["distribution"] == "harness-contrast"
    assert row["kind"] == "pretext"


def test_the_package_keeps_the_contract(site: Path) -> None:
    checked = harness(site, "check", "instance-contrast[noise=0.2]")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "steps_lower_the_loss [16x16x3]" in checked.stdout
    assert "failed" not in checked.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "plugin 'broken' of stranger-broken 0.1 cannot be loaded: ModuleNotFoundError: No module named"),
        ("misspelt", "'harness_metod', which is no hook: did you mean 'harness_method'?"),
        ("digits", "'digits' is offered by harness "),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(site: Path, name: str, message: str) -> None:
    checked = harness(site, "check", name)
    assert checked.returncode == 2
    assert message in checked.stderr
    assert checked.stderr.startswith("harness: error: ")
    assert len(checked.stderr.splitlines()) == 1


def test_a_qualified_name_reaches_the_built_in(site: Path) -> None:
    shown = harness(site, "show", "harness:digits")
    assert shown.returncode == 0, shown.stderr
    assert "Handwritten digits" in shown.stdout


def test_the_digest_of_a_strangers_plugin_covers_its_whole_package(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    code = """
from harness.registry.fingerprint import source_digest
from harness.registry import METHOD_KINDS, Registry

loaded = Registry().load("instance-contrast", METHOD_KINDS)
neighbour = loaded.file.with_name("terms.py")
before = source_digest(loaded)
neighbour.write_text("# a comment\\n" + neighbour.read_text())
assert source_digest(loaded) == before
neighbour.write_text(neighbour.read_text().replace("dim=1", "dim=-1"))
assert source_digest(loaded) != before
"""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.fixture(scope="module")
def run_of_strangers(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that a stranger's evaluations judge, beside built-in ones, with its report."""
    folder = tmp_path_factory.mktemp("strangers")
    request = ["--plugins", "instance-contrast", "--references", "pixels", "--seeds", "1", "--budget", "2 steps"]
    judges = "dead-units,knn,linear-probe,class-means,representation"
    shutil.copytree(site, folder / "site", ignore=shutil.ignore_patterns("stranger_*"))  # without what is wrong
    environment = {**os.environ, "PYTHONPATH": str(folder / "site"), "HARNESS_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "harness", "bench", *request, "--evaluations", judges, "--out", folder / "run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "run"


def columns_of(report: Path) -> list[str]:
    header = next(line for line in report.read_text().splitlines() if line.startswith("| method |"))
    return [column.strip() for column in header.strip("|").split("|")][1:]


def test_what_says_it_leads_stands_with_those_that_lead_and_what_is_told_is_not_ranked(run_of_strangers: Path) -> None:
    assert columns_of(run_of_strangers / "report.md") == [
        "linear-probe accuracy ↑",  # the first in the request of those that lead
        "class-means share\\_right ↑",
        "knn accuracy ↑",
        "dead-units dead ↓ (not ranked)",
    ]


def test_what_a_stranger_says_stands_beside_a_score_and_above_pictures(run_of_strangers: Path) -> None:
    report = (run_of_strangers / "report.md").read_text()
    assert report.count("(rehearsed 0.") == 2  # below the score of both methods
    headings = [line.removeprefix("## ") for line in report.splitlines() if line.startswith("## ")]
    pictures = [heading for heading in headings if heading in ("An average day", "Map of the features", "Means")]
    assert pictures == ["An average day", "Map of the features", "Means"]
    assert report.count("![instance-contrast on digits, seed 0: The mean image of each class]") == 1
    assert "pixels on digits, seed 0: The mean image" not in report  # the same for all methods: shown once
    assert "pixels on digits, seed 0: Two features of each mean" in report


def test_a_stranger_leads_without_being_installed_where_the_report_is_made(run_of_strangers: Path) -> None:
    """The first in the order of the cells: a report reads what is stored, and loads no plugin."""
    for file in (run_of_strangers / "cells").glob("*.json"):
        cell = json.loads(unsealed_json(file.read_bytes()))
        cell["evaluations"] = [one for one in cell["evaluations"] if one["evaluation"] != "linear-probe"]
        file.write_bytes(sealed_json(json.dumps(cell).encode()))
    alone = run_of_strangers.with_name("alone")
    subprocess.run([sys.executable, "-m", "harness", "report", run_of_strangers, "--out", alone], check=True)
    assert columns_of(alone / "report.md")[0] == "class-means share\\_right ↑"
    assert "By class-means share\\_right on digits, the reference" in (alone / "report.md").read_text()
