"""The law of reports: no file of them names an installed plugin, or a score of one; specs say what there is to say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import harness
from harness.registry import KINDS, Registry
from harness.report.series import BASELINE

ROOT = Path(harness.__file__).parent
FILES = sorted([*(ROOT / "report").glob("*.py"), *(ROOT / "report").glob("*.j2"), *(ROOT / "cli").glob("*.py")])
QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")
# Words that are names of plugins or scores too, and what they mean here.
HOMOGRAPHS = {
    "pretext",  # a kind of method
    "precision",  # of numbers: a word of requests, a column of the frame
    "parameters",  # what training cost
    "bits",  # a unit
    "ceiling",  # a word below a score, of those that harness.records.ScoreSpec names
}


@cache
def names() -> frozenset[str]:
    """Of every installed plugin, of every score of an evaluation."""
    registry = Registry()
    found = {info.name for kind in KINDS for info in registry.infos(kind)} - {BASELINE}
    for info in registry.infos("evaluation"):
        found |= {score.name for score in registry.load(info.name, ("evaluation",)).spec.scores}
    return frozenset(found)


def strings_of(file: Path) -> Iterator[str]:
    """What the code compares or prints: strings without docstrings; of a template those inside of tags."""
    text = file.read_text()
    if file.suffix == ".j2":
        for tag in re.findall(r"{[{%](.*?)[%}]}", text, flags=re.DOTALL):
            yield from (one or other for one, other in QUOTED.findall(tag))
        yield re.sub(r"{[{%].*?[%}]}", "", text, flags=re.DOTALL)
        return
    tree = ast.parse(text)
    told = [node for node in ast.walk(tree) if isinstance(node, ast.Expr) or _is_example(node)]
    for_readers = {id(node.value) for node in told}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in for_readers:
            yield node.value


def _is_example(node: ast.AST) -> bool:
    """What to try, in the help of an option and below that of a command."""
    if isinstance(node, ast.keyword):
        return node.arg in ("help", "epilog")
    return isinstance(node, ast.Assign) and [getattr(name, "id", "") for name in node.targets] == ["EPILOG"]


def named_in(text: str) -> set[str]:
    """The names that a string is, or that stand in it where no other word is spelled so: `linear-probe`."""
    spelled = [name for name in names() if "-" in name or "_" in name]
    return {name for name in (text, *spelled) if name in names() and re.search(rf"(?<![\w-]){name}(?![\w-])", text)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_it_names_no_plugin_and_no_score(file: Path) -> None:
    found = {name for text in strings_of(file) for name in named_in(text)}
    assert found - HOMOGRAPHS == set()


def test_the_one_name_that_reports_know_is_said_once() -> None:
    files = {file.name for file in FILES if any(BASELINE in text for text in strings_of(file))}
    assert files == {"series.py"}


def test_a_name_is_found_where_it_stands() -> None:
    assert {"linear-probe", "knn", "vae", "accuracy", "frechet_distance"} <= names()
    assert named_in("knn") == {"knn"}
    assert named_in("by linear-probe, and knn") == {"linear-probe"}
    assert named_in("a linear probe") == set()


def test_a_string_is_found_where_it_is_code(tmp_path: Path) -> None:
    code, page = tmp_path / "code.py", tmp_path / "page.j2"
    code.write_text('"""knn"""\ndef f():\n    """vae"""\n    return "pca" + f"{1}dot"\n')
    page.write_text("<b>linear-probe</b>{% if a == \"knn\" %}{{ b['vae'] }}{% endif %}")
    assert sorted(strings_of(code)) == ["dot", "pca"]
    assert list(strings_of(page)) == ["knn", "vae", "<b>linear-probe</b>"]
