"""From rows to arrays: what is compared, and what is said of what is not."""

from __future__ import annotations

import numpy as np
import pytest

from harness.metrics.across_datasets import Scores, arranged, decimals, differences, means_over_seeds

ROWS = [
    (method, dataset, seed, 0.1 * len(method) + 0.01 * len(dataset) + 0.001 * seed)
    for method in ("vae", "jigsaw", "rotation")
    for dataset in ("digits", "shapes", "svhn")
    for seed in (0, 1, 2)
]


def arrange(rows, **how) -> Scores:
    return arranged(*map(list, zip(*rows, strict=True)), **how)


def test_every_score_finds_its_place_whatever_the_order_of_rows():
    shuffled = [ROWS[i] for i in np.random.default_rng(0).permutation(len(ROWS))]
    found = arrange(shuffled, chosen=["vae", "jigsaw", "rotation"])
    assert found.methods == ("vae", "jigsaw", "rotation")
    assert sorted(found.datasets) == ["digits", "shapes", "svhn"]
    assert (found.seeds, found.left_out) == ((0, 1, 2), ())
    for method, dataset, seed, score in ROWS:
        at = found.methods.index(method), found.datasets.index(dataset), found.seeds.index(seed)
        assert found.values[at] == score


def test_a_dataset_that_one_method_lacks_is_left_out_and_said():
    found = arrange([row for row in ROWS if row[:2] not in {("vae", "svhn"), ("vae", "shapes")}])
    assert found.datasets == ("digits",)
    assert found.left_out == (
        "2 of 3 datasets are left out: shapes (no score of vae); svhn (no score of vae). Without vae there would be 3.",
    )


def test_a_dataset_that_two_methods_lack_comes_back_by_leaving_out_neither():
    gone = {("vae", "svhn"), ("jigsaw", "svhn")}
    found = arrange([row for row in ROWS if row[:2] not in gone])
    assert found.left_out == ("1 of 3 datasets is left out: svhn (no score of vae, jigsaw).",)


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf")])
def test_a_missing_seed_leaves_a_gap_that_is_said(missing):
    rows = [(*row[:3], missing) if row[:3] == ("vae", "svhn", 1) else row for row in ROWS]
    found = arrange(rows)
    assert found.datasets == ("digits", "shapes", "svhn")
    assert np.isnan(found.values[0, 2]).tolist() == [False, True, False]
    assert found.left_out == (
        "Fewer seeds than others: vae on svhn (2 of 3); a mean is over the seeds that are there.",
    )
    assert found.means[0, 2] == pytest.approx(0.3 + 0.04 + 0.001)


def test_datasets_may_have_different_numbers_of_seeds_without_a_word():
    found = arrange([row for row in ROWS if row[1] != "svhn" or row[2] == 0])
    assert (~np.isnan(found.values)).sum(axis=2).tolist() == [[3, 3, 1]] * 3
    assert found.left_out == ()


def test_a_method_without_any_score_is_left_out_and_said():
    found = arrange(ROWS, chosen=["jigsaw", "gan", "vae"])
    assert found.methods == ("jigsaw", "vae")
    assert found.left_out == ("gan is left out: it has no score on any dataset.",)


def test_methods_that_were_not_chosen_cost_no_dataset():
    found = arrange([*ROWS, ("gan", "mnist", 0, 0.5)], chosen=["vae", "rotation"])
    assert found.datasets == ("digits", "shapes", "svhn")
    assert found.left_out == ()


def test_lower_scores_are_turned_round():
    found = arrange(ROWS, better="lower")
    assert np.array_equal(found.oriented, -found.values)
    assert np.allclose(found.means, -found.values.mean(axis=2))


def test_what_cannot_be_compared_says_why():
    with pytest.raises(ValueError, match="vae has two scores on digits with seed 0"):
        arrange([*ROWS, ROWS[0]])
    with pytest.raises(ValueError, match="of one length"):
        arranged(["vae"], ["digits"], [0, 1], [0.5])
    with pytest.raises(ValueError, match="two methods with scores, and there is vae"):
        arrange(ROWS, chosen=["vae", "gan"])
    only = {"vae": ("digits",), "jigsaw": ("shapes", "svhn"), "rotation": ("digits", "shapes")}
    apart = [row for row in ROWS if row[1] in only[row[0]]]
    with pytest.raises(ValueError, match="no dataset has scores of all 3 methods; vae has the fewest"):
        arrange(apart)


def test_means_need_a_finite_score_everywhere():
    assert means_over_seeds(np.array([[1.0, np.nan, 2.0]])).tolist() == [1.5]
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="at least one seed on every dataset"):
            means_over_seeds(np.array([[1.0, 2.0], [bad, bad]]))


def test_differences_of_printed_scores_tie_as_on_paper():
    a, b = np.array([0.3, 0.2, 0.8]), np.array([0.2, 0.1, 0.7])
    assert len(set((a - b).tolist())) == 3  # what floats make of 0.1
    assert set(differences(a, b).tolist()) == {0.1}
    assert set(differences(1e6 * a, 1e6 * b).tolist()) == {1e5}
    assert (decimals(np.array([0.97])), decimals(np.array([123.0])), decimals(np.array([0.0]))) == (12, 9, 12)
