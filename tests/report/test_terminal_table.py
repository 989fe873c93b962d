"""`--table`: every score in blocks that fit the terminal, none cut, and a request that does not know of it."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from example_run import compare, example_results, write_run
from rich.cells import cell_len
from rich.console import Console

from harness.report.entries import Entry
from harness.report.numbers import plain, plus_minus
from harness.report.series import BASELINE
from harness.report.terminal import TerminalTable


def drawn(compared, width, **options):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(TerminalTable(compared, **options))
    return console.file.getvalue()


def blocks_of(text):
    """The lines of each block of the first comparison; each begins after a line of spaces, or the title."""
    table = text.partition("mean ± half")[0].split("\n", 2)[2]
    return [[line.rstrip() for line in block.splitlines()] for block in re.split(r"\n *\n(?= )", table)]


@pytest.mark.parametrize("width", [40, 80, 120, 300])
def test_all_scores_are_there_and_none_is_cut(results, width):
    compared = compare(results)[:1]
    text = drawn(compared, width, everything=True)
    assert max(map(cell_len, text.splitlines())) <= min(width, 160)
    assert "…" not in text
    assert "also in the report" not in text
    (comparison,) = compared
    for i, column in enumerate(comparison.columns):
        for word in (column.called, column.score.replace("_", " ")):
            assert word in text
        for entry in (row.entries[i] for row in comparison.rows):
            assert not entry.estimate or plain(plus_minus(entry.estimate, comparison.digits[i])) in text
    assert text.count("gain over") == 1


@pytest.mark.parametrize(("width", "blocks"), [(80, 4), (120, 2)])
def test_each_block_has_the_names_of_the_rows_again(results, width, blocks):
    (comparison, *_) = compare(results)
    found = blocks_of(drawn([comparison], width, everything=True))
    assert len(found) == blocks
    for block in found:
        rows = block[2:]
        assert [row.split()[0] for row in rows] == [row.series.label for row in comparison.rows]
    shown = [word for block in found for word in block[0].split("  ") if word.strip()]
    expected = [column.called for column in comparison.columns]
    expected.insert(1, "gain over")
    assert [word.strip() for word in shown] == expected


def test_main_is_the_beginning_of_all(results):
    compared = compare(results)
    (main,), (first, *_) = (blocks_of(drawn(compared[:1], 80, everything=everything)) for everything in (False, True))
    assert main[: len(first)] == first
    assert "also in the report, and here with --table all: clustering nmi" in drawn(compared, 80)


def test_names_that_are_longer_than_the_terminal_take_several_lines(results):
    (comparison, *_) = compare(results)
    long = [
        replace(row, series=replace(row.series, label=f"{row.series.label}[{'x' * 90}]")) for row in comparison.rows
    ]
    text = drawn([replace(comparison, rows=tuple(long))], 80, everything=True)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    found = blocks_of(text)
    assert sum(block[0].count("pretext") for block in found) == 1
    for block in found:
        assert sum(line.count("x") for line in block) >= 90 * len(long)


def test_a_score_that_no_line_has_room_for_takes_several(results):
    (comparison, *_) = compare(results)
    columns = tuple(replace(column, called="k" * 100) for column in comparison.columns)
    text = drawn([replace(comparison, columns=columns)], 80, everything=True)
    assert "…" not in text
    assert text.partition("mean ± half")[0].count("k") >= 100 * len(columns)


def test_nothing_measured_is_a_table_of_names(results):
    (comparison, *_) = compare(results)
    bare = [replace(row, entries=tuple(Entry() for _ in row.entries)) for row in comparison.rows]
    assert "rotation" in drawn([replace(comparison, rows=tuple(bare))], 80, everything=True)


# The commands. --------------------------------------------------------------------------------------------------------


def harness(*words, width=80):
    command = [sys.executable, "-m", "harness", *map(str, words)]
    environment = os.environ | {"COLUMNS": str(width)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=240)


def test_a_report_prints_its_table_where_it_is_asked_to(tmp_path):
    run = write_run(tmp_path / "run", example_results(tmp_path / "run", seeds=(0, 1), targets=("digits",)))
    quiet, main, whole = (harness("report", run, *words) for words in ([], ["--table", "main"], ["--table", "all"]))
    line = f"Report: {(run / 'index.html').as_uri()}\n"
    assert quiet.stdout == line
    assert "also in the report" in main.stdout
    assert "pretext" in blocks_of(whole.stdout)[-1][0]
    assert main.stdout.endswith(line)
    assert whole.stdout.endswith(line)


def test_a_bench_prints_what_is_asked_for_and_the_run_does_not_know_of_it(tmp_path):
    out = tmp_path / "run"
    words = ["bench", "--plugins", "none", "--references", "random-init", "--seeds", "1", "--evaluations"]
    words += ["knn,clustering,representation,retrieval,linear-probe", "--out", str(out)]
    whole = harness(*words, "--table", "all")
    assert whole.returncode == 0, whole.stderr
    found = blocks_of(whole.stdout)
    assert len(found) == 2
    assert all(block[2].startswith(f"{BASELINE} (ref)") for block in found)
    kept = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in (out / "cells").iterdir()}
    asked, plan = (out / "request.toml").read_bytes(), json.loads((out / "plan.json").read_bytes())
    main, none = harness(*words), harness(*words, "--table", "none")
    assert "also in the report" in main.stdout
    assert BASELINE not in none.stdout
    assert none.stdout.strip() == f"Report: {(out / 'index.html').as_uri()}"
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in (out / "cells").iterdir()} == kept
    assert (out / "request.toml").read_bytes() == asked
    assert json.loads((out / "plan.json").read_bytes()) == plan
