"""What was trained elsewhere is shown for scale: not ranked, not tested, and nothing is said of its budget."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from harness.records import CellResult, PluginRef
from harness.report import notebook_html
from harness.report.frame import tidy_frame
from harness.report.palette import looks
from harness.report.reading import reading
from harness.report.series import with_series, with_short_paths
from harness.report.summary import Comparison, Row, comparisons
from harness.report.terminal import terminal_table


def compare(results: list[CellResult]) -> Comparison:
    frame, series = with_series(tidy_frame(results, "run"))
    return comparisons(frame, series)[0]


def row(comparison: Comparison, name: str) -> Row:
    return next(row for row in comparison.rows if row.series.method == name)


def the_best(results: list[CellResult]) -> str:
    scored = [row for row in compare(results).rows if row.series.competes and not row.series.uses]
    return scored[0].series.method


@pytest.fixture
def elsewhere(results: list[CellResult]) -> tuple[str, list[CellResult]]:
    """The best method, as if it had been trained elsewhere."""
    best = the_best(results)
    changed = [
        replace(result, cell=replace(result.cell, kind="pretrained")) if str(result.cell.method) == best else result
        for result in results
    ]
    return best, changed


def test_it_is_neither_marked_nor_tested_and_costs_the_others_no_power(results, elsewhere) -> None:
    best, changed = elsewhere
    before, after = compare(results), compare(changed)
    assert not before.leading_entry(row(before, best)).mark  # it leads, and is not told apart
    assert any(before.leading_entry(one).mark == "worse" for one in before.rows)
    found = after.leading_entry(row(after, best))
    assert (found.mark, found.p) == ("", None)
    assert found.gain is not None
    without = compare([result for result in results if str(result.cell.method) != best])
    for one in without.rows:
        entry, alone = (after.leading_entry(row(after, one.series.method)), without.leading_entry(one))
        assert (entry.mark, entry.p) == (alone.mark, alone.p)


def test_it_stands_among_the_rows_by_its_score_with_its_tag_and_no_budget(results, elsewhere) -> None:
    best, changed = elsewhere
    comparison = compare(changed)
    order = [row.series.method for row in comparison.rows]
    assert order == [row.series.method for row in compare(results).rows]
    series = row(comparison, best).series
    assert (series.tags, series.budget, series.competes) == (("trained elsewhere",), "", False)
    other = [result for result in changed if str(result.cell.method) != best]
    trained = {row.series.budget for row in compare(other).rows} - {""}  # references have none
    assert trained == {str(results[0].cell.budget)}


def test_its_budget_makes_no_label_longer(elsewhere) -> None:
    _, changed = elsewhere
    assert {row.series.label for row in compare(changed).rows} == {row.series.method for row in compare(changed).rows}


def test_it_comes_after_the_methods_and_is_drawn_hollow(elsewhere) -> None:
    _, changed = elsewhere
    _, series = with_series(tidy_frame(changed, "run"))
    kinds = [one.kind for one in series]
    assert kinds == sorted(kinds, key=["model", "pretext", "pretrained", "reference"].index)
    drawn = looks(series)
    assert {drawn[one.index].fill for one in series if one.kind == "pretrained"} == {"none"}


def test_the_sentence_names_the_best_that_learned_here_and_this_for_scale(elsewhere) -> None:
    best, changed = elsewhere
    says = reading(compare(changed))
    assert f"{best} leads" not in says
    assert f"{best} is best" not in says
    assert f"trained elsewhere, for scale: {best} (" in says
    alone = compare([result for result in changed if result.cell.kind in ("pretrained", "reference")])
    assert "apart from references and what was trained elsewhere, none sees images alone" in reading(alone)


def test_every_face_says_where_it_was_trained(elsewhere) -> None:
    _, changed = elsewhere
    console = Console(width=100, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(terminal_table(changed))
    assert "(elsewhere)" in captured.get()
    assert "(trained elsewhere)" in notebook_html(changed)


def test_paths_are_as_short_as_tells_them_apart(results) -> None:
    def labels(*paths: str) -> list[str]:
        some = [result for result in results if result.cell.seed == 0][: len(paths)]
        named = [
            replace(one, cell=replace(one.cell, method=PluginRef(name="mine", params={"file": path})))
            for one, path in zip(some, paths, strict=True)
        ]
        _, series = with_series(tidy_frame(named, "run"))
        return sorted(one.label for one in series)

    assert labels("/a/long/way/one.pt", "/a/long/way/two.pt") == ["mine[file=…/one.pt]", "mine[file=…/two.pt]"]
    assert labels("/a/b/one/x.pt", "/a/b/two/x.pt") == ["mine[file=…/one/x.pt]", "mine[file=…/two/x.pt]"]
    assert labels("x.pt", "here/x.pt") == ["mine[file=here/x.pt]", "mine[file=x.pt]"]
    assert with_short_paths("vae[beta=4] · norm=batch", 1) == "vae[beta=4] · norm=batch"
