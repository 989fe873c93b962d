"""The ranked comparison: order, marks, gains, and what happens where something is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from example_run import FAILED_CELL, METHODS, compare, example_results, rows_of
from scipy import stats as reference

from harness.report.frame import tidy_frame
from harness.report.reading import answers, reading
from harness.report.series import with_series
from harness.report.summary import PANEL, table
from harness.report.tables import lacks, score_rows, troubles


def column_of(comparison, name):
    return [column.evaluation for column in comparison.columns].index(name)


@pytest.fixture(scope="module")
def digits(results):
    return compare(results)[0]


def values(results, name, evaluation="linear-probe", target="digits"):
    return {
        result.cell.seed: one.scores[0].value
        for result in results
        if result.cell.method.name == name
        for one in result.evaluations
        if (one.evaluation, one.target, one.status) == (evaluation, target, "ok")
    }


def test_one_comparison_for_each_target_with_every_method_in_it(results):
    compared = compare(results)
    assert [c.title for c in compared] == ["digits", "digits → noisy-digits"]
    assert all(set(rows_of(c)) == set(METHODS) for c in compared)


def test_rows_are_ranked_by_the_linear_probe(digits):
    means = [digits.leading_entry(row).estimate.mean for row in digits.rows]
    assert means == sorted(means, reverse=True)
    assert digits.columns[0].evaluation == "linear-probe"


def test_gain_is_the_paired_difference_to_random_init_with_holm_over_the_methods(results, digits):
    rows = rows_of(digits)
    methods, base = ("vae", "jigsaw", "rotation"), values(results, "random-init")
    ps = {}
    for name in methods:
        mine = values(results, name)
        paired = reference.ttest_rel(list(mine.values()), [base[seed] for seed in mine])
        entry = rows[name].entries[0]
        assert entry.gain.p == pytest.approx(paired.pvalue)
        assert entry.gain.effect == pytest.approx(sum(mine[s] - base[s] for s in mine) / len(mine))
        ps[name] = paired.pvalue
    smallest = min(ps, key=ps.get)
    assert rows[smallest].entries[0].p == pytest.approx(3 * ps[smallest])
    assert rows["pca"].entries[0].gain is not None
    assert rows["pca"].entries[0].p is None  # a reference is shown, not tested
    assert rows["random-init"].entries[0].gain is None


def test_a_failed_seed_is_left_out_of_the_pairs_and_counted(digits):
    assert FAILED_CELL == ("jigsaw", 2)
    entry = rows_of(digits)["jigsaw"].entries[0]
    assert (len(entry.by_seed), entry.planned) == (2, 3)
    assert (entry.gain.n, entry.gain.unpaired) == (2, 1)


def test_what_is_worse_is_marked_among_those_without_labels_and_what_is_not_told_apart_is_left_quiet(digits):
    rows = rows_of(digits)
    assert rows["vae"].entries[0].mark == "worse"
    assert rows["rotation"].entries[0].mark == rows["jigsaw"].entries[0].mark == ""  # so neither is the best
    assert digits.rows[0].series.method == "supervised"  # ranked first, and never marked
    assert digits.rows[0].entries[0].mark == ""
    assert digits.rows[0].series.uses == "labels"


def test_the_best_is_marked_if_it_is_told_apart_from_all_others(results):
    few = compare([r for r in results if r.cell.method.name in ("rotation", "vae", "random-init", "supervised")])[0]
    marks = {name: row.entries[0].mark for name, row in rows_of(few).items()}
    assert marks == {"rotation": "best", "vae": "worse", "random-init": "worse", "supervised": ""}


def test_lower_is_better_turns_ranks_marks_and_gains_around(results):
    def turned(score):
        return replace(score, value=1 - score.value, better="lower") if score.score == "accuracy" else score

    lower = [
        replace(r, evaluations=tuple(replace(e, scores=tuple(map(turned, e.scores))) for e in r.evaluations))
        for r in results
    ]
    before, after = compare(results)[0], compare(lower)[0]
    assert [row.series.label for row in after.rows] == [row.series.label for row in before.rows]
    for one, other in zip(before.rows, after.rows, strict=True):
        assert one.entries[0].mark == other.entries[0].mark
        if one.entries[0].gain:
            assert other.entries[0].gain.effect == pytest.approx(one.entries[0].gain.effect)


def roles(results, **said):
    """The results, where the primary scores of these evaluations have other roles."""

    def changed(evaluation):
        role = said.get(evaluation.evaluation.replace("-", "_"))
        return replace(evaluation, scores=tuple(replace(s, role=role) if role else s for s in evaluation.scores))

    return [replace(r, evaluations=tuple(map(changed, r.evaluations))) for r in results]


@pytest.mark.parametrize(
    ("said", "first", "leading"),
    [
        ({}, ["linear-probe", "knn", "clustering"], "linear-probe"),
        ({"clustering": "leads"}, ["linear-probe", "clustering", "knn"], "linear-probe"),  # the first in the request
        ({"clustering": "leads", "linear_probe": "ranks"}, ["clustering", "knn", "linear-probe"], "clustering"),
        ({"linear_probe": "ranks"}, ["knn", "linear-probe", "clustering"], "knn"),  # what follows leads
        ({"linear_probe": "told", "knn": "told"}, ["clustering", "reconstruction", "fid"], "clustering"),
    ],
)
def test_what_leads_is_what_says_so(results, said, first, leading):
    compared = compare(roles(results, **said))[0]
    assert [column.evaluation for column in compared.columns][:3] == first
    assert compared.leading_column().evaluation == leading
    told = [name.replace("_", "-") for name, role in said.items() if role == "told"]
    assert [compared.columns[column_of(compared, name)].ranked for name in told] == [False] * len(told)


def test_speed_and_tasks_of_their_own_are_never_ranked(digits):
    for name in ("throughput", "pretext", "representation"):
        index = column_of(digits, name)
        assert not digits.columns[index].ranked
        assert all(not row.entries[index].mark and row.entries[index].gain is None for row in digits.rows)


@pytest.mark.parametrize(("of", "ranked"), [("seed", True), ("method", False)])
def test_a_score_is_ranked_if_all_methods_of_a_seed_had_the_same_chance(results, of, ranked):
    def changed(result):
        odds = 0.1 + 0.1 * (result.cell.seed if of == "seed" else list(METHODS).index(result.cell.method.name))
        found = [replace(e, scores=tuple(replace(s, chance=odds) for s in e.scores)) for e in result.evaluations]
        return replace(result, evaluations=tuple(found))

    compared = compare([changed(result) for result in results])[0]
    assert compared.columns[column_of(compared, "knn")].ranked is ranked


def test_the_floor_stands_beside_the_distance(digits):
    entry = rows_of(digits)["vae"].entries[column_of(digits, "fid")]
    assert entry.beside == (("floor", pytest.approx(2.1)),)


@pytest.mark.parametrize(
    ("score", "named", "beside"),
    [
        ("coverage", "coverage", ("real", 0.9)),
        ("psnr", "psnr", ("a word of its own", 0.9)),
        ("psnr", "another", None),
        ("psnr", "", None),
    ],
)
def test_a_score_stands_beside_what_it_is_read_with(results, score, named, beside):
    def changed(result):
        def renamed(evaluation):
            first = replace(evaluation.scores[0], score=score)
            value, word = 0.8 + 0.1 * result.cell.seed, beside[0] if beside else "not said"
            second = replace(first, score="second", primary=False, value=value, beside=named, word=word)
            return replace(evaluation, scores=(first, second))

        found = [renamed(e) if e.evaluation == "knn" and e.scores else e for e in result.evaluations]
        return replace(result, evaluations=tuple(found))

    seeds = (0, 1, 2)
    compared = compare([changed(result) for result in results if result.cell.seed in seeds])[0]
    entry = rows_of(compared)["vae"].entries[column_of(compared, "knn")]
    assert entry.beside == ((beside[0], pytest.approx(beside[1])),) if beside else entry.beside == ()


def test_skipped_and_failed_entries_keep_their_reason(results, digits):
    entry = rows_of(digits)["rotation"].entries[column_of(digits, "fid")]
    assert (entry.estimate, entry.status) == (None, "skipped")
    assert "cannot do what fid needs" in entry.reason
    all_failed = [r for r in results if r.cell.method.name != "jigsaw" or r.training.status == "failed"]
    entry = rows_of(compare(all_failed)[0])["jigsaw"].entries[0]
    assert entry.status == "failed"
    assert "not finite" in entry.reason


def test_seeds_without_spread_are_called_out(digits):
    assert "same number" in rows_of(digits)["pixels"].entries[0].estimate.note


def test_intervals_of_fractions_end_at_one(digits):
    assert rows_of(digits)["jigsaw"].entries[0].estimate.high == 1.0


def test_one_seed_has_wilson_intervals_and_no_test(tmp_path):
    digits = compare(example_results(tmp_path, seeds=(0,), targets=("digits",)))[0]
    entry = rows_of(digits)["vae"].entries[0]
    expected = reference.binomtest(round(entry.estimate.mean * 360), 360).proportion_ci(method="wilson")
    assert (entry.estimate.low, entry.estimate.high) == pytest.approx((expected.low, expected.high), abs=2e-3)
    assert entry.p is None
    assert entry.gain.effect > 0
    assert "over random-init (cannot tell: one seed)" in reading(digits)
    assert not any(row.entries[0].mark for row in digits.rows)


def test_without_baseline_there_are_no_gains(results):
    kept = [r for r in results if r.cell.method.name != "random-init"]
    digits = compare(kept)[0]
    assert digits.gained() == []
    assert "random-init" not in reading(digits)


def test_reading_names_the_best_its_rivals_and_the_references(digits):
    sentence = reading(digits)
    assert sentence.startswith("By linear-probe accuracy on digits, rotation leads with 0.9")
    assert ", not told apart from jigsaw[grid=3] (" in sentence
    assert "it is above random-init by +0.0" in sentence
    assert "supervised (0.98" in sentence


def test_reading_calls_best_what_differs_from_all_others(results):
    sentence = reading(compare([r for r in results if r.cell.method.name != "jigsaw"])[0])
    assert "rotation is best with 0.9" in sentence
    assert ": it differs from the other;" in sentence


def test_reading_admits_that_a_reference_is_better(results):
    """First and plainly: that some method is best is said of the methods alone."""
    digits = compare([r for r in results if r.cell.method.name != "rotation"])[0]
    rows = rows_of(digits)
    gain = {"pca": 0.05, "pixels": 0.04}
    ahead = replace(digits, rows=tuple(_above(row, gain.get(row.series.method, 0.0)) for row in digits.rows))
    said = reading(ahead)
    means = {name: rows[name].entries[0].estimate.mean + gain[name] for name in gain}
    both = f"pca ({means['pca']:.3f}) and pixels ({means['pixels']:.3f})"
    assert said.startswith(
        f"By linear-probe accuracy on digits, the references {both} are ahead of every method, "
        "not told apart from the best of them; of the methods, jigsaw[grid=3] "
    )
    assert said.count("pixels") == 1


def test_a_reference_that_differs_from_the_best_method_is_ahead_without_a_doubt(results):
    digits = compare([r for r in results if r.cell.method.name in ("vae", "pixels", "random-init")])[0]
    assert rows_of(digits)["vae"].entries[0].mark == "worse"
    assert "the reference pixels (0.931) is ahead of the only method; vae has " in reading(digits)


def _above(row, more):
    """A row whose leading score is higher, with no mark."""
    first = row.entries[0]
    estimate = first.estimate and replace(first.estimate, mean=first.estimate.mean + more)
    return replace(row, entries=(replace(first, estimate=estimate, mark=""), *row.entries[1:]))


@pytest.mark.parametrize(("value", "end"), [(1.0, "best"), (0.0, "worst")])
def test_a_score_whose_methods_are_all_at_its_bound_tells_nothing_apart(results, value, end):
    def at_the_bound(evaluation):
        if evaluation.evaluation != "linear-probe":
            return evaluation
        return replace(evaluation, scores=tuple(replace(score, value=value) for score in evaluation.scores))

    methods = ("rotation", "vae", "jigsaw")
    changed = [
        replace(r, evaluations=tuple(map(at_the_bound, r.evaluations))) if r.cell.method.name in methods else r
        for r in results
    ]
    digits = compare(changed)[0]
    said = f"all 3 methods have the {end} value that is possible, {value:.3f}: it tells nothing apart here; with labels"
    assert said in reading(digits)
    assert digits.bound(0) == value
    assert digits.bound(column_of(digits, "knn")) is None
    assert digits.bound(column_of(digits, "reconstruction")) is None  # one method, and no bound


def test_reading_says_so_if_nothing_beats_random_init(results):
    def swapped(result):
        names = {"rotation": "random-init", "random-init": "rotation"}
        name = names.get(result.cell.method.name, result.cell.method.name)
        return replace(result, cell=replace(result.cell, method=replace(result.cell.method, name=name)))

    kept = [swapped(r) for r in results if r.cell.method.name in ("rotation", "random-init")]
    kinds = {"rotation": "pretext", "random-init": "reference"}
    kept = [replace(r, cell=replace(r.cell, kind=kinds[r.cell.method.name])) for r in kept]
    assert "it is below random-init by −0.0" in reading(compare(kept)[0])


def test_other_questions_have_a_line_each_and_say_where_a_reference_wins(results):
    def asking(evaluation):
        asks = {"knn": "Neighbours share a class", "reconstruction": "Reconstructs"}.get(evaluation.evaluation, "")
        scores = tuple(replace(score, asks=asks if score.primary else "") for score in evaluation.scores)
        return replace(evaluation, scores=scores)

    changed = [replace(r, evaluations=tuple(map(asking, r.evaluations))) for r in results]
    lines = answers(compare(changed)[0])
    assert [line.partition(" (")[0] for line in lines] == ["Neighbours share a class", "Reconstructs"]
    assert lines[1].startswith("Reconstructs (reconstruction psnr): vae has ")
    assert answers(compare(results)[0]) == []


def test_reading_without_any_method(results):
    only = compare([r for r in results if r.cell.kind == "reference"])[0]
    assert reading(only) == "On digits no method could be ranked: apart from references, none sees images alone."


def test_reading_where_all_methods_failed(results):
    broken = [r for r in results if r.cell.kind == "reference" or r.training.status == "failed"]
    assert len({r.cell.kind for r in broken}) == 2
    only = compare(broken)[0]
    assert reading(only) == f"On {only.title} no method could be ranked: see what was skipped and what failed."


def test_table_is_numbers_best_first(results):
    found = table(results)
    assert found["method"].tolist()[:2] == ["supervised", "rotation"]
    assert found["linear-probe accuracy"].dtype == float
    assert found.loc[found["method"] == "vae", "gain p"].between(0, 0.05).all()
    assert found.loc[found["method"] == "pixels", "linear-probe accuracy ±"].isna().all()


def test_all_scores_hold_every_score_once(results):
    frame, series = with_series(tidy_frame(results))
    rows = score_rows(frame, series)
    keys = [(row.series.index, row.target, row.evaluation, row.score) for row in rows]
    assert len(keys) == len(set(keys))
    measured = frame[frame["value"].notna()]
    assert len(rows) == len(measured[["series", "target", "evaluation", "score"]].drop_duplicates())


def test_a_failed_cell_is_one_line_and_failures_come_first(results):
    frame, series = with_series(tidy_frame(results))
    found = troubles(frame, series)
    first = [("failed", "training", (2,)), ("failed", "clustering", (1,))]
    assert [(t.status, t.what, t.seeds) for t in found[:2]] == first
    assert all(t.status == "skipped" for t in found[2:])
    assert sum(t.series.method.startswith("jigsaw") and t.status == "failed" for t in found) == 1


def test_what_does_not_apply_is_one_line_for_each_reason_and_says_of_whom(results):
    frame, series = with_series(tidy_frame(results))
    frame["reason"] = frame["reason"].str.replace(r"cannot do what \w+ needs", "cannot", regex=True)
    found = troubles(frame, series)
    told = {(s.index, what, one.where, one.reason) for one in lacks(found) for s in one.series for what in one.whats}
    assert {row[:3] for row in told} == {(t.series.index, t.what, t.where) for t in found if t.status == "skipped"}
    assert {row[3] for row in told} == {"cannot"}
    assert sum(len(one.series) * len(one.whats) for one in lacks(found)) == len(told)  # nothing that is not so
    assert len(lacks(found)) < len(told)


def test_wide_comparisons_come_in_panels_that_lose_nothing(digits):
    panels = digits.panels()
    assert sorted(i for panel in panels for i in panel.columns) == list(range(len(digits.columns)))
    assert panels[0].rows == digits.rows
    assert digits.columns[panels[0].columns[0]].evaluation == "linear-probe"
    for panel in panels:
        assert len(panel.columns) <= PANEL
        left_out = [row for row in digits.rows if row not in panel.rows]
        assert not any(row.entries[i].estimate for row in left_out for i in panel.columns)


def test_a_panel_has_only_rows_with_something_to_say(digits):
    by_column = {digits.columns[panel.columns[0]].evaluation: panel for panel in digits.panels(1)}
    assert {row.series.method.partition("[")[0] for row in by_column["fid"].rows} == {"vae"}  # others cannot sample


@pytest.mark.parametrize(
    ("limits", "values", "low", "high"),
    [
        ((0.0, 1.0), (0.95, 0.99, 1.0), None, 1.0),
        ((None, 1.0), (0.9, 0.99, 0.99), None, 1.0),
        ((0.0, None), (0.001, 0.03, 0.03), 0.0, None),
        ((None, None), (0.0, 0.01, 0.02), None, None),
        ((-0.5, 1.0), (-0.1, 0.0, 0.1), None, None),  # a fraction by its unit, which may be negative
    ],
)
def test_an_interval_over_seeds_ends_where_a_score_can_go_no_further(results, limits, values, low, high):
    """As the evaluation says, in the ranked table and in the table of all scores."""

    def changed(result):
        def limited(evaluation):
            first, value = evaluation.scores[0], values[result.cell.seed]
            return replace(evaluation, scores=(replace(first, value=value, low=limits[0], high=limits[1]),))

        found = [limited(e) for e in result.evaluations if e.evaluation == "knn" and e.scores]
        return replace(result, evaluations=tuple(found))

    some = [changed(result) for result in results if result.cell.method.name == "vae"]
    frame, series = with_series(tidy_frame(some))
    row = next(row for row in score_rows(frame, series) if row.evaluation == "knn")
    estimate = compare(some)[0].rows[0].entries[0].estimate
    assert (row.estimate.low, row.estimate.high) == (estimate.low, estimate.high)
    half = reference.t.ppf(0.975, 2) * np.std(values, ddof=1) / 3**0.5
    mean = np.mean(values)
    assert estimate.low == pytest.approx(mean - half if low is None else low, abs=1e-5)
    assert estimate.high == pytest.approx(mean + half if high is None else high, abs=1e-5)
