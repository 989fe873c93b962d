"""One rule of digits for each column: in tables, intervals and sentences, on the page, in Markdown, in a terminal."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from example_run import compare, example_results

from harness.metrics.statistics import Difference, Estimate
from harness.report.digits import Digits, digits, of_estimates
from harness.report.numbers import interval, number, plain, plus_minus, signed, size

NUMBER = re.compile(r"[−-]?\d[\d,]*(?:\.(\d+))?(?:e[+-]\d+)?(?:\u00a0[kMGT])?")


def column(values, unit):
    """The texts of a column of values, or of (value, half its interval)."""
    pairs = [value if isinstance(value, tuple) else (value, None) for value in values]
    written = digits(pairs, unit)
    return [plain(number(value, written)) for value, _ in pairs]


@pytest.mark.parametrize(
    ("values", "unit", "texts"),
    [
        # Fractions have three decimals, as long as these show anything.
        ([(0.95313, 0.01), (0.9, 1e-6)], "fraction", ["0.953", "0.900"]),
        ([0.9, 0.00004], "fraction", ["0.900", "0.000"]),
        ([0.0, 0.0], "fraction", ["0.000", "0.000"]),
        ([0.00041, 0.00042], "fraction", ["0.000410", "0.000420"]),
        ([(0.0004, 0.3), (-0.0001, 0.2)], "difference of fractions", ["0.000", "0.000"]),
        # Two digits of the smallest half of an interval.
        ([(-25.388, 0.31), (-27.932, 2.5)], "nats", ["−25.39", "−27.93"]),
        ([(94.63, 1.25), (7.1, 9.0)], "", ["94.6", "7.1"]),
        ([(0.0978, 0.0123), (0.00232, 0.00017)], "squared intensity", ["0.09780", "0.00232"]),
        ([(21.034, 0.21), (18.9, 4.0)], "dB", ["21.03", "18.90"]),
        # At least three and at most five digits of the largest.
        ([(25.388, 31.0)], "", ["25.4"]),
        ([(25.388, 1e-4), (3.1, 2.0)], "", ["25.388", "3.100"]),
        ([(25.388, 1e-12), (3.1, 0.5)], "", ["25.39", "3.10"]),  # noise is no interval
        # No intervals: the unit's own decimals, or three digits.
        ([21.034], "dB", ["21.03"]),
        ([1.5, 22.05], "", ["1.5", "22.1"]),
        ([22.05, 0.05], "", ["22.05", "0.05"]),
        # Counts are whole, large ones have separators, measured ones no more digits than are known.
        ([53_216.0, 120_000.0, 64.0], "weights", ["53,216", "120,000", "64"]),
        ([38_412.7, 950.3], "images/s", ["38,413", "950"]),
        ([(81_234.0, 912.0), (79_555.0, 4000.0)], "images/s", ["81,230", "79,560"]),
        ([1234.6, 7.0], "", ["1,235", "7"]),
        # One prefix for all, by the smallest.
        ([5.32e7, 1.26e6], "weights", ["53.2 M", "1.3 M"]),
        ([1.924e7, 67_200.4], "images/s", ["19,240 k", "67 k"]),
        # So far apart, or so small, that only powers of ten show all of them.
        ([34.2, 3.9e25], "", ["3.42e+01", "3.90e+25"]),
        ([265.0, 0.0087, 12.25], "s", ["265.000", "0.009", "12.250"]),
        ([2.5e4, 0.0123], "", ["25,000.00", "0.01"]),
        ([2.5e4, 0.00123], "", ["2.50e+04", "1.23e-03"]),
        ([0.00004, -0.0000212], "", ["4.00e-05", "−2.12e-05"]),
        ([0.02, 3e-15], "", ["0.0200", "0.0000"]),  # noise of float32
        ([(0.02, 0.001), (1e-5, 0.2)], "", ["0.0200", "0.0000"]),  # within its interval of zero
        # Nothing there, or nothing but zero.
        ([], "", []),
        ([0.0], "", ["0"]),
        ([float("inf"), float("nan"), 3.25], "", ["inf", "nan", "3.25"]),
    ],
)  # fmt: skip
def test_a_column_has_one_form(values, unit, texts):
    assert column(values, unit) == texts


def test_a_zero_has_no_sign():
    assert Digits(3).text(-0.0001) == "0.000"
    assert Digits(-2).text(-12) == "0"
    assert signed(-0.0001, Digits(3)) == "0.000"
    assert signed(0.0123, Digits(3)) == "+0.012"
    assert signed(-3e-9, Digits(2, scientific=True)) == "−3.00e-09"


def test_intervals_and_halves_have_the_digits_of_the_column():
    estimates = [Estimate(mean=94.63, low=93.4, high=95.88, n=3), Estimate(mean=7.125, low=1.0, high=13.25, n=3)]
    written = of_estimates([*estimates, None], "")
    assert plain(interval(estimates[1], written)) == "[1.0, 13.2]"
    assert plain(plus_minus(estimates[0], written)) == "94.6 ± 1.2"


def test_what_would_have_been_found_is_never_zero():
    assert size(0.00031, Digits(3)) == "0.00031"
    assert size(0.031, Digits(3)) == "0.031"


def test_gains_have_digits_of_their_own():
    gain = Difference(effect=0.123, low=0.1, high=0.146, p=0.01, n=3, unpaired=0)
    assert signed(0.123, of_estimates([gain], "")) == "+0.123"


def decimals(texts):
    return {len(match[1] or "") for text in texts for match in NUMBER.finditer(text)}


def table_after(report, heading, first="method"):
    """The columns of the first table of Markdown after some words."""
    lines = report.partition(heading)[2].split("\n")
    start = next(n for n, line in enumerate(lines) if line.startswith(f"| {first}"))
    rows = [line.strip("| ").split(" | ") for line in lines[start:]]
    length = next(n for n, row in enumerate(rows) if len(row) != len(rows[0]))
    return {title: [row[n] for row in rows[2:length]] for n, title in enumerate(rows[0])}


@pytest.fixture(scope="module")
def small(example):
    return (example / "report.md").read_text(encoding="utf-8"), (example / "index.html").read_text(encoding="utf-8")


def test_each_column_of_the_markdown_has_as_many_decimals_in_every_row(small):
    columns = table_after(small[0], "## digits\n")
    scored = {title: [re.sub(r"\(\d+ of \d+ seeds\)", "", cell) for cell in cells] for title, cells in columns.items()}
    for title, cells in list(scored.items())[1:]:
        assert len(decimals(cells)) == 1, (title, cells)
    assert decimals(scored["linear-probe accuracy ↑"]) == {3}


def cells_of(table):
    """The texts of the cells of a table of the page, column by column; what its small words say is left out."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", table.partition("<tbody>")[2], re.DOTALL)
    texts = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in rows]
    return [
        [re.sub(r"<(small class=\"warn|span class=\"hidden).*?</|<[^>]+>", " ", cell) for cell in each]
        for each in zip(*texts, strict=True)
    ]


def test_each_column_of_the_page_has_as_many_decimals_in_every_row(small):
    tables = re.findall(r'<table class="ranked sorts">(.*?)</table>', small[1].partition('id="ranking"')[0], re.DOTALL)
    columns = [cells for table in tables for cells in cells_of(table)]
    assert len(columns) > 10
    for cells in columns:
        assert len(decimals(cells)) <= 1, cells


def test_all_rows_of_one_score_are_alike_in_the_table_of_all_scores(small):
    rows = re.findall(r'<tr data-series="\d+" data-evaluation.*?</tr>', small[1], re.DOTALL)
    alike = {}
    for row in rows:
        cells = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]
        alike.setdefault((cells[2], cells[3]), []).extend([*cells[4:7], cells[8]])
    assert len(alike) > 10
    assert {key: decimals(texts) for key, texts in alike.items() if len(decimals(texts)) != 1} == {}


def test_the_sentence_and_the_figure_have_the_digits_of_the_table(results):
    from harness.report.dot_plots import ranking_chart
    from harness.report.palette import looks_in_a_report
    from harness.report.reading import answers, reading
    from harness.report.terminal import TerminalTable

    unlike = [
        replace(result, evaluations=tuple(replace(e, scores=tuple(_in_nats(s) for s in e.scores)) for e in
                                          result.evaluations)) for result in results
    ]  # fmt: skip
    first = compare(unlike)[0]
    leading = first.digits[first.leading]
    row = next(row for row in first.rows if row.series.competes)
    value = number(first.leading_entry(row).estimate.mean, leading)
    assert leading.decimals != 3
    assert value in reading(first)
    assert value in ranking_chart(first, looks_in_a_report([row.series for row in first.rows]), "name").svg
    assert value in printed(TerminalTable([first]))
    assert answers(first) is not None


def _in_nats(score):
    if score.score != "accuracy":
        return score
    return replace(score, value=-31.7 * score.value, unit="nats", low=None, high=None, proportion=False)


def printed(table):
    from io import StringIO

    from rich.console import Console

    console = Console(file=StringIO(), width=160)
    console.print(table)
    return console.file.getvalue()


def test_a_budget_is_written_as_counts_are(tmp_path):
    from harness.records import Budget
    from harness.report.content import Run, gather
    from harness.report.html import page
    from harness.report.markdown import markdown

    budgets = {0: 120_000, 1: 5_000}
    results = []
    for seed, amount in budgets.items():
        for one in example_results(tmp_path, seeds=(0,), targets=("digits",)):
            cell = replace(one.cell, budget=Budget(amount=amount, unit="examples"))
            results.append(replace(one, cell=cell, key=f"{one.key}-{seed}"))
    content = gather([Run(name="run", path=tmp_path, results=tuple(results), environment={}, request={})])
    for text in (page(content), markdown(content, {})):
        assert "120,000 examples" in text
        assert "120000 examples" not in text
    assert "340 steps, 43,160 images" in page(content)
