"""`plugins show` remembers what it said for as long as that is true, and imports nothing then."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli import shown
from harness.data.cache import cache_root
from harness.registry import PluginInfo

INFO = PluginInfo(name="mine", kind="model", module="shown_mine", distribution="stranger", version="1")


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A loaded module that the description comes from."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "site-packages" / "shown_mine.py"
    file.parent.mkdir()
    file.write_text("WORDS = 'one'\n")
    monkeypatch.syspath_prepend(str(file.parent))
    __import__("shown_mine")
    yield file
    del sys.modules["shown_mine"]


def lines(says: str, info: PluginInfo = INFO) -> list[str]:
    """What is shown where a new description would say `says`."""
    return shown.remembered(info, lambda: [says])


def test_the_same_is_said_again_without_asking(mine: Path) -> None:
    assert lines("first") == ["first"]
    assert lines("second") == ["first"]
    assert lines("other version", PluginInfo(**(vars(INFO) | {"version": "2"}))) == ["other version"]


def test_an_edit_makes_it_ask_again(mine: Path) -> None:
    lines("first")
    mine.write_text("WORDS = 'one'  # a comment is shown, so that it counts\n")
    assert lines("second") == ["second"]
    mine.unlink()
    assert lines("third") == ["third"]


def test_an_installation_makes_it_ask_again(mine: Path) -> None:
    lines("first")
    (mine.parent / "library-2.dist-info").mkdir()
    os.utime(mine.parent, ns=(1, 1))
    assert lines("second") == ["second"]


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"libraries": 3}', "no json"])
def test_a_damaged_memory_is_replaced(mine: Path, damage: str) -> None:
    lines("first")
    (file,) = (cache_root() / "shown").iterdir()
    file.write_text(damage)
    assert lines("second") == ["second"]
    assert lines("third") == ["second"]


def test_a_cache_that_cannot_be_written_is_done_without(mine: Path) -> None:
    cache_root().write_text("a file in the place of the folder")
    assert lines("first") == ["first"]
    assert lines("second") == ["second"]


def test_the_second_show_imports_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nsys.argv = ['harness', 'plugins', 'show', 'vae']\nfrom harness.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print({'torch'} & set(sys.modules))"
    )
    environment = os.environ | {"HARNESS_CACHE": str(tmp_path)}
    runs = [
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    first, second = (run.stdout.splitlines() for run in runs)
    assert first[:-1] == second[:-1]
    assert "vae (model, harness" in second[0]
    assert "torch" in first[-1]
    assert second[-1] == "set()"
