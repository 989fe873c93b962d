"""Texts in the report: a table on the page and in Markdown, and never markup."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from example_run import example_results, write_run

from harness.records import Picture
from harness.report import build
from harness.store import RunFolder

COLUMNS = {"beginning": ["a < b", "x | y"], "completed": ["<script>alert(1)</script>", "two\nlines & more"]}


def pages(folder: Path, *, keep: bool, columns: object = COLUMNS) -> tuple[str, str]:
    """The page and the Markdown of a run whose first evaluations kept texts, or had them lost."""
    results = []
    for cell in example_results(folder, seeds=(0,), targets=("digits",)):
        if cell.evaluations:
            home = folder / "artifacts" / cell.key
            home.mkdir(parents=True, exist_ok=True)
            if keep:
                (home / "completions.json").write_text(json.dumps({"columns": columns}))
            file = f"artifacts/{cell.key}/completions.json"
            texts = Picture(name="completions", kind="texts", file=file, caption="Of texts")
            cell = replace(cell, evaluations=(replace(cell.evaluations[0], pictures=(texts,)), *cell.evaluations[1:]))
        results.append(cell)
    write_run(folder, results)
    build([RunFolder(folder)], folder)
    return (folder / "index.html").read_text(), (folder / "report.md").read_text()


def test_texts_are_a_table_and_no_markup(tmp_path: Path) -> None:
    page, markdown = pages(tmp_path, keep=True)
    assert page.count("<h2>Completions</h2>") == 1
    assert "<td>a &lt; b</td><td>&lt;script&gt;alert(1)&lt;/script&gt;</td>" in page
    assert "alert(1)</script>" not in page
    assert "| beginning | completed |\n| :-- | --: |\n" in markdown
    assert "<script>" not in markdown
    assert "two lines" in markdown
    assert "x | y" not in markdown  # a bar in a cell would end it


def test_texts_that_are_gone_are_said_to_be_missing(tmp_path: Path) -> None:
    page, _ = pages(tmp_path, keep=False)
    assert "completions.json is missing" in page


@pytest.mark.parametrize(
    "columns", [None, [], {}, {"a": "text"}, {"a": ["one"], "b": []}, {"a": [1]}, {"a": [["one"]]}]
)
def test_what_is_no_table_of_texts_costs_its_own_picture(tmp_path: Path, columns: object) -> None:
    page, markdown = pages(tmp_path, keep=True, columns=columns)
    assert "completions.json is damaged: it is no table of texts" in page
    assert "is damaged: it is no table of texts" in markdown
