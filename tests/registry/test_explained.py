"""What installed evaluations say of themselves: theirs, kept for ours, and nothing where a plugin cannot say it."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from harness import aside
from harness.registry import Registry, explained
from harness.registry.explained import explained as asked


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


PLUGIN = '''
"""Norms: how long are features? And
how alike."""
{before}
from harness.plugin import EvaluationSpec, ScoreSpec, hookimpl

@hookimpl
def harness_evaluation():
    score = ScoreSpec(name="mean", unit="", better="none", help="The mean\\x1b[31m\\nlength.")
    return EvaluationSpec(name="norms", run=lambda subject, config: {{}}, scores=(score,))
'''


class Distribution:
    name, version = "norms-package", "1"


def registry_with(tmp_path, monkeypatch, before=""):
    (tmp_path / "norms_module.py").write_text(PLUGIN.format(before=before))
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("norms", "norms_module", "harness.evaluations")
    vars(point)["dist"] = Distribution()
    from harness.registry.installed import installed_entry_points

    return Registry([*installed_entry_points(), point])


def test_ours_say_what_their_specifications_say():
    found = asked(["knn", "fid"])
    for name, said in found.items():
        spec = Registry().load(name, ("evaluation",)).spec
        assert said.scores == {score.name: score.help for score in spec.scores}
        assert said.summary
    assert found["knn"].summary.startswith("kNN: do the nearest training images")


def test_ours_are_imported_once(monkeypatch):
    first = asked(["knn"])
    monkeypatch.setattr(explained, "aside", lambda *_, **__: pytest.fail("imported again"))
    assert asked(["knn"]) == first


def test_a_changed_file_is_read_again(monkeypatch, tmp_path):
    asked(["knn"])
    monkeypatch.setattr(explained, "SHARED", tmp_path)  # other files, other content
    (tmp_path / "a.py").write_text("x = 1")
    monkeypatch.setattr(explained, "aside", lambda *_, **__: iter([["knn", {"accuracy": "new"}]]))
    assert asked(["knn"])["knn"].scores == {"accuracy": "new"}


@pytest.mark.parametrize("name", ["nothing-of-this-name", "./knn.py", "/etc/passwd", "other:knn", "", "a b", "knn["])
def test_what_is_not_installed_says_nothing(name):
    assert asked([name]) == {}


def test_a_strangers_is_read_too_and_its_text_is_one_line(tmp_path, monkeypatch):
    registry = registry_with(tmp_path, monkeypatch)
    said = asked(["norms"], registry)["norms"]
    assert said.scores["mean"].startswith("The mean")
    assert said.scores["mean"].endswith(" length.")
    assert said.scores["mean"].isprintable()
    assert said.summary == "Norms: how long are features?"


@pytest.mark.skipif(not aside.POSSIBLE, reason="needs fork")
@pytest.mark.parametrize("before", ["import sys; sys.exit(0)", "import os; os._exit(0)", "1 / 0",
                                    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"])  # fmt: skip
def test_a_plugin_that_ends_costs_its_own_lines_alone(tmp_path, monkeypatch, before):
    found = asked(["norms", "knn"], registry_with(tmp_path, monkeypatch, before))
    assert found["norms"].scores == {}
    assert found["norms"].summary == "Norms: how long are features?"
    assert "accuracy" in found["knn"].scores


def test_a_plugin_that_hangs_costs_its_own_lines_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(explained, "LONGEST_IMPORT", 0.5)
    registry = registry_with(tmp_path, monkeypatch, "import time; time.sleep(30)")
    assert asked(["norms"], registry)["norms"].scores == {}


def test_a_cache_that_cannot_be_written_costs_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file"))
    assert "accuracy" in asked(["knn"])["knn"].scores
