"""`pip install .` gives a wheel with all built-ins that works outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Harness as pip installs it, built from a copy so that the checkout stays clean."""
    import shutil

    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    for name in ("harness", "plugins"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", str(target), str(source)], check=True, capture_output=True)
    return target


def run(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "harness", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=installed.parent, env=environment, check=False)


def test_the_wheel_has_everything_that_the_checkout_has(installed: Path) -> None:
    for package, folder in (("harness", "harness"), ("harness_plugins", "plugins")):
        files = {f.relative_to(ROOT / folder) for f in (ROOT / folder).rglob("*") if f.is_file()}
        expected = {file for file in files if "__pycache__" not in file.parts}
        found = {file.relative_to(installed / package) for file in (installed / package).rglob("*") if file.is_file()}
        assert expected <= found


def test_the_installed_command_finds_its_plugins_and_runs_a_bench(installed: Path, tmp_path: Path) -> None:
    listing = run(installed, "plugins")
    assert listing.returncode == 0
    assert all(name in listing.stdout for name in ("vae", "jigsaw", "random-init", "resnet18", "digits", "fid"))
    options = ["--plugins", "rotation", "--references", "none", "--seeds", "1", "--evaluations", "knn"]
    done = run(installed, "bench", *options, "--budget", "2 steps", "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "index.html").stat().st_size > 10_000
