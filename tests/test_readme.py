"""What the README says is true: its plugin keeps the contract, its verbs exist, its tables are complete."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from harness.contract.kit import check_plugin
from harness.loading import data_root
from harness.registry import Registry
from harness.registry.grammar import parse_plugins

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_plugin_in_the_readme_keeps_the_contract(tmp_path: Path) -> None:
    (source,) = (block for block in re.findall(r"```python\n(.*?)```", README, re.S) if "harness_method" in block)
    file = tmp_path / "brightness.py"
    file.write_text(source)
    registry = Registry()
    (plugin,) = registry.load_file(file)
    checks = check_plugin(plugin, registry, data_root(None))
    assert checks
    assert [check for check in checks if check.status == "failed"] == []


def test_every_built_in_is_in_the_readme() -> None:
    names = {info.name for info in Registry().infos() if info.distribution == "harness"}
    assert {name for name in names if f"`{name}`" not in README} == set()


@pytest.mark.parametrize("text", re.findall(r"--plugins '?([^\s']+)'?", README))
def test_every_request_in_the_readme_is_grammatical(text: str) -> None:
    assert parse_plugins(text)


def test_the_first_two_commands_are_make_targets() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    assert re.findall(r"^    make (\w+)", README, re.M)[:2] == ["bench", "test"]
    assert {"bench", "test", "check", "slow", "speed"} <= set(targets)
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_the_changelog_names_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
