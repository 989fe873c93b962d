"""Statistics across datasets in a report: equal to direct calls, what is left out, and where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from example_run import compare
from grid_run import grid_results

from harness.metrics.bayesian_signed_rank import bayesian_signed_rank
from harness.metrics.signed_rank import signed_rank
from harness.metrics.stratified_bootstrap import interquartile_mean
from harness.report import build
from harness.report.across import ROPE, across_datasets
from harness.report.frame import tidy_frame
from harness.report.palette import looks
from harness.report.series import BASELINE, with_series

DATASETS = tuple(f"set-{letter}" for letter in "abcdefgh")
METHODS = ("rotation", "vae", BASELINE)


def grid(datasets=DATASETS, methods=METHODS, seeds=2):
    """rotation is 0.1 above the vae, with noise; the baseline is as the vae, but for chance."""
    generator = np.random.default_rng(0)
    levels = {"rotation": 0.7, "vae": 0.6, BASELINE: 0.595, "supervised": 0.9, "jigsaw": 0.65}
    noise = {(m, d): generator.normal(0, 0.02, seeds) for d in datasets for m in levels}
    return {(m, d, d): (levels[m] + noise[m, d]).tolist() for m in methods for d in datasets}


def across(values, **how):
    results = grid_results(values, **how)
    _, series = with_series(tidy_frame(results, "run"))
    return across_datasets(compare(results), looks(series))


@pytest.fixture(scope="module")
def eight():
    (found,) = across(grid())
    return found


def array(values, method):
    return np.array([of for (m, _, _), of in values.items() if m == method])  # (D,S)


def test_standings_are_by_average_rank(eight):
    means = np.array([array(grid(), method).mean(1) for method in METHODS])
    ranks = (-means).argsort(0).argsort(0) + 1
    expected = dict(zip(METHODS, ranks.mean(1), strict=True))
    assert {one.series.method: one.rank for one in eight.standings} == pytest.approx(expected)
    assert [one.rank for one in eight.standings] == sorted(one.rank for one in eight.standings)
    assert eight.standings[0].series.method == "rotation"


def test_means_probabilities_and_p_are_those_of_direct_calls(eight):
    values = grid()
    best = array(values, "rotation").mean(1)
    for one in eight.standings:
        assert one.middle == interquartile_mean(array(values, one.series.method))
        if one is not eight.standings[0]:
            own = array(values, one.series.method).mean(1)
            assert one.against == bayesian_signed_rank(best, own, ROPE)
            assert one.p == pytest.approx(3 * signed_rank(best, own).p)  # Holm: both are the smallest of three
    assert eight.standings[0].against is None
    assert eight.standings[0].p is None
    assert eight.standings[1].against.left > 0.99


def test_only_the_baseline_stands_for_the_references_and_labels_do_not_compete():
    (found,) = across(grid(methods=(*METHODS, "supervised", "pca")[:4]))
    assert {one.series.method for one in found.standings} == set(METHODS)


def test_fewer_than_three_datasets_or_two_methods_have_nothing_across():
    assert across(grid(DATASETS[:2])) == []
    assert across(grid(methods=("rotation",))) == []
    elsewhere = {(m, "set-a", d): of for (m, d, _), of in grid(DATASETS[:4]).items()}
    assert across(elsewhere) == []  # three targets of one source are no datasets of their own


def test_few_datasets_can_tell_nothing_and_it_is_said():
    (found,) = across(grid(DATASETS[:3]))
    note = "3 datasets cannot tell any of 3 methods apart at 5%: the smallest possible p is 0.75; 7 datasets could."
    assert note in found.notes
    assert note in found.drawings[0].caption
    assert any("above the other on all 3 datasets with probability 0.25" in said for said in found.notes)
    assert "At most 2 seeds a dataset: an interval from so few is too short." in found.notes
    for drawing in found.drawings[1:]:
        assert drawing.caption.count("At most 2 seeds a dataset: an interval from so few is too short.") == 1


def test_enough_datasets_can_tell_and_no_note_says_otherwise(eight):
    assert not any("cannot tell" in note or "no evidence" in note for note in eight.notes)


def test_one_seed_has_no_interval_and_says_so():
    (found,) = across(grid(DATASETS[:4], seeds=1))
    assert all(one.middle.low is None for one in found.standings)
    assert "One seed on each dataset: no interval over seeds." in found.notes
    assert "One seed on each dataset: no interval over seeds." in found.drawings[2].caption


def test_a_dataset_that_a_method_lacks_is_left_out_and_named():
    values = grid(DATASETS[:5])
    values["vae", "set-b", "set-b"] = [None, None]
    (found,) = across(values)
    assert found.scores.datasets == ("set-a", "set-c", "set-d", "set-e")
    said = "1 of 5 datasets is left out: set-b (no score of vae). Without vae there would be 5."
    assert said in found.notes


def test_a_seed_that_failed_is_said():
    values = grid(DATASETS[:3])
    values["vae", "set-b", "set-b"][1] = None
    (found,) = across(values)
    assert any(note.startswith("Fewer seeds than others: vae on set-b (1 of 2)") for note in found.notes)


def test_a_method_with_fewer_than_three_datasets_does_not_cost_the_others_theirs():
    values = grid(DATASETS[:4], methods=(*METHODS, "jigsaw"))
    values = {key: of for key, of in values.items() if key[0] != "jigsaw" or key[1] == "set-a"}
    (found,) = across(values)
    assert {one.series.method for one in found.standings} == set(METHODS)
    assert len(found.scores.datasets) == 4
    assert "jigsaw is left out: it has scores on 1 dataset, and at least 3 must be common." in found.notes


def test_many_that_are_left_out_are_one_sentence():
    values = grid(DATASETS[:4], methods=(*METHODS, "jigsaw"))
    few = {"jigsaw": ("set-a",), BASELINE: ("set-a", "set-b")}
    values = {key: of for key, of in values.items() if key[1] in few.get(key[0], DATASETS)}
    (found,) = across(values)
    said = f"jigsaw and {BASELINE} are left out: they have scores on 1 to 2 datasets, and at least 3 must be common."
    assert said in found.notes


def test_one_method_beside_the_baseline_is_no_comparison_across_datasets():
    assert not across(grid(DATASETS[:4], methods=("rotation", "random-init")))


def test_other_scores_have_a_table_and_no_figure():
    values = grid(DATASETS[:4])
    other = {key: [1 - value for value in of] for key, of in values.items()}
    leading, second = across(values, other=other)
    assert (leading.column.evaluation, second.column.evaluation) == ("linear-probe", "knn")
    assert (len(leading.drawings), second.drawings) == (3, ())
    assert second.standings[-1].series.method == "rotation"


def test_where_lower_is_better_the_smallest_is_first():
    (found,) = across(grid(), better="lower")
    assert found.standings[-1].series.method == "rotation"
    assert found.standings[-1].against.left > 0.99
    assert found.standings[-1].middle.mean == pytest.approx(0.7, abs=0.02)


def test_methods_that_are_all_alike_are_no_error():
    (found,) = across({key: [0.5, 0.5] for key in grid(DATASETS[:3])})
    assert {one.rank for one in found.standings} == {2.0}
    assert all(one.against.rope > 0.99 for one in found.standings[1:])


def test_the_page_and_the_markdown_have_the_table_the_figures_and_the_notes(tmp_path):
    results = grid_results(grid(DATASETS[:3]))
    build([(results, tmp_path)], tmp_path / "out")
    (found,) = across(grid(DATASETS[:3]))
    page, markdown = ((tmp_path / "out" / name).read_text() for name in ("index.html", "report.md"))
    for text in (page, markdown):
        assert "Across datasets" in text
        assert "linear-probe accuracy over set-a, set-b, set-c" in text
        assert text.count(found.diagram.note) == 2  # above the table, and below the diagram
        assert f"{found.standings[1].against.left:.3f}" in text
        assert found.drawings[2].caption in text
    assert all((tmp_path / "out" / "figures" / f"{one.name}.svg").is_file() for one in found.drawings)
    assert all(f"figures/{one.name}.svg" in markdown for one in found.drawings)
    build([(grid_results(grid(DATASETS[:2])), tmp_path)], tmp_path / "two")
    assert "Across datasets" not in (tmp_path / "two" / "index.html").read_text()
