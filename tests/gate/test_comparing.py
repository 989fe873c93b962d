"""Two runs: each rule of the comparison, with a run that breaks it."""

from __future__ import annotations

import numpy as np
import pytest
from gate_runs import BASE, accuracies, cell, compared, judged, of, score, with_outcomes, write

from harness.gate.comparing import compare
from harness.gate.sides import load_sides
from harness.metrics.crossed import crossed_difference

KNN = "knn accuracy"
LOWER = tuple(value - 0.05 + index / 1000 for index, value in enumerate(BASE))
HIGHER = tuple(value + 0.05 + index / 1000 for index, value in enumerate(BASE))
NOISY = (0.93, 0.88, 0.91, 0.87, 0.915)


@pytest.mark.parametrize(
    ("candidate", "verdict", "outcome", "code"),
    [
        (LOWER, "worse", "regression", 1),
        (HIGHER, "better", "pass", 0),
        (tuple(v + 0.0005 * (-1) ** i for i, v in enumerate(BASE)), "equivalent", "pass", 0),
        (NOISY, "undecided", "inconclusive", 0),
    ],
)
def test_the_verdict_of_a_score_decides_the_exit_code(tmp_path, candidate, verdict, outcome, code):
    found = compared(tmp_path, accuracies(), accuracies(candidate))
    assert (of(found, KNN).verdict, found.outcome, found.exit_code) == (verdict, outcome, code)


def test_undecided_fails_where_the_policy_says_so(tmp_path):
    found = compared(tmp_path, accuracies(), accuracies(NOISY), policy="fail")
    assert found.exit_code == 4
    assert "seeds would decide it" in of(found, KNN).why


@pytest.mark.parametrize(("by", "verdict"), [(0.5, "worse"), (-0.5, "better")])
def test_of_a_score_that_is_better_where_it_is_lower_more_is_worse(tmp_path, by, verdict):
    def run(shift):
        return [cell(judged(score("fid", 9 + s / 20 + shift, "", "lower"), by="fid"), seed=s) for s in range(4)]

    later = [cell(judged(score("fid", 9 + s / 21 + by, "", "lower"), by="fid"), seed=s) for s in range(4)]
    row = of(compared(tmp_path, run(0), later), "fid")
    assert row.verdict == verdict
    assert row.change == pytest.approx(by, abs=0.02)
    assert row.low < row.change < row.high
    assert row.margin == pytest.approx(0.05 * row.base)  # of a unit without a size of its own


# The same to the last bit. --------------------------------------------------------------------------------------------


def test_identical_runs_pass_with_one_seed_too(tmp_path):
    found = compared(tmp_path, accuracies(BASE[:1]), accuracies(BASE[:1]))
    assert (of(found, KNN).verdict, of(found, KNN).why) == ("equivalent", "identical")
    assert found.exit_code == 0


def test_one_seed_that_is_not_identical_says_nothing_of_others(tmp_path):
    found = compared(tmp_path, accuracies([0.9]), accuracies([0.1]), policy="fail")
    assert "one seed says nothing of others" in of(found, KNN).why
    assert found.exit_code == 4


def test_a_coarse_score_that_agrees_by_chance_is_not_identical(tmp_path):
    base = [cell(judged(score(value=0.9)), training={"loss": 0.5})]
    candidate = [cell(judged(score(value=0.9)), training={"loss": 0.50001})]
    assert of(compared(tmp_path, base, candidate), KNN).verdict == "undecided"


def test_equal_accuracies_of_other_examples_are_not_identical(tmp_path):
    right = np.arange(400) % 10 > 0
    base = with_outcomes(tmp_path / "base", {0: right})
    candidate = with_outcomes(tmp_path / "candidate", {0: np.roll(right, 1)})
    found = compare(*load_sides(base, candidate))
    assert of(found, KNN).base == of(found, KNN).candidate
    assert of(found, KNN).verdict == "undecided"
    again = with_outcomes(tmp_path / "again", {0: right})
    assert of(compare(*load_sides(base, again)), KNN).why == "identical"


def test_one_other_score_of_the_evaluation_tells_them_apart(tmp_path):
    def run(nll):
        return [cell(judged(score(value=0.9), score("nll", nll, "nats", "lower", primary=False)))]

    assert of(compared(tmp_path, run(0.3), run(0.3000001)), KNN).verdict == "undecided"


# Seeds and examples. --------------------------------------------------------------------------------------------------


def test_kept_outcomes_are_paired_by_seed_and_example(tmp_path):
    rng = np.random.default_rng(0)
    hard = rng.random(500) < 0.2
    first = {s: (rng.random(500) > 0.05) & ~hard for s in range(3)}
    second = {s: flags & (rng.random(500) > 0.02) for s, flags in first.items()}
    found = compare(*load_sides(with_outcomes(tmp_path / "a", first), with_outcomes(tmp_path / "b", second)))
    row = of(found, KNN)
    expected = crossed_difference(second, first, proportion=True, level=0.9)
    assert (row.seeds, row.examples) == (3, 500)
    assert (row.change, row.low, row.high) == pytest.approx((expected.effect, expected.low, expected.high))
    # the frame beside the artifacts knows as much as the folder
    sides = load_sides(tmp_path / "a", tmp_path / "b")
    for side, name in zip(sides, "ab", strict=True):
        side.frame.to_parquet(tmp_path / name / "results.parquet")
    frames = load_sides(tmp_path / "a" / "results.parquet", tmp_path / "b" / "results.parquet")
    again = of(compare(*frames), KNN)
    assert (again.low, again.high, again.verdict) == pytest.approx((row.low, row.high, row.verdict))


def test_seeds_that_one_run_has_alone_are_told_and_left_out(tmp_path):
    found = compared(tmp_path, accuracies(), accuracies(HIGHER[:3]))
    assert of(found, KNN).seeds == 3
    assert of(found, KNN).base == pytest.approx(np.mean(BASE[:3]))
    assert any("seeds 3, 4 only in" in note for note in found.notes)


def test_no_seed_in_common_is_refused(tmp_path):
    found = compared(tmp_path, accuracies()[:2], accuracies()[3:])
    assert (of(found, KNN).state, found.exit_code) == ("refused", 3)


def test_a_frame_from_before_there_were_parts_of_labels_is_compared(tmp_path):
    run = [cell(judged(score(), labels="100%"))]
    sides = load_sides(write(tmp_path / "a", run), write(tmp_path / "b", run))
    sides[0].frame["labels"] = ""
    assert of(compare(*sides), KNN).verdict == "equivalent"
    fewer = write(tmp_path / "c", [cell(judged(score(), labels="10%"))])
    assert {f.state for f in compare(*load_sides(tmp_path / "a", fewer)).findings if f.score == "accuracy"} == {
        "vanished",
        "appeared",
    }


# The family. ----------------------------------------------------------------------------------------------------------


def several(scores: int, shift: float, gated: bool = True) -> list:
    """One score that may fall, and others that are noise between the two runs."""
    noise = np.random.default_rng(int(1e6 * shift) + scores)
    return [
        cell(
            judged(score(value=value - shift * (1 + index / 20))),
            *(judged(score(value=0.9 + noise.normal(0, 0.02), primary=gated), by=f"other-{i}") for i in range(scores)),
            seed=index,
        )
        for index, value in enumerate(BASE[:4])
    ]


def test_gated_rows_are_one_family_and_the_others_cost_it_nothing(tmp_path):
    alone = of(compared(tmp_path / "1", several(0, 0), several(0, 0.02)), KNN)
    many = of(compared(tmp_path / "2", several(9, 0), several(9, 0.02)), KNN)
    free = of(compared(tmp_path / "3", several(9, 0, False), several(9, 0.02, False)), KNN)
    assert many.p == pytest.approx(10 * alone.p)
    assert free.p == pytest.approx(alone.p)


# What cannot be compared. ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "says", "across"),
    [
        ({"budget": "2 epochs"}, "another budget: 10 epochs against 2 epochs (--across budget allows it)", "budget"),
        ({"precision": "bf16"}, "another precision: fp32 against bf16", "precision"),
        ({"device": "cuda:0"}, "another device: cpu against cuda:0", "device"),
        ({"provenance": {"settings": "learning_rate=0.1"}}, "another settings of the optimisation", "train"),
    ],
)
def test_another_setting_is_refused_until_it_is_allowed(tmp_path, changed, says, across):
    found = compared(tmp_path / "1", accuracies(), accuracies(HIGHER, **changed))
    assert says in of(found, KNN).why
    assert (of(found, KNN).state, found.exit_code) == ("refused", 3)
    allowed = compared(tmp_path / "2", accuracies(), accuracies(HIGHER, **changed), across=(across,))
    assert of(allowed, KNN).verdict == "better"
    assert any(f"across another {across}" in note for note in allowed.notes)


def test_a_budget_is_no_matter_to_what_trains_nothing(tmp_path):
    idle = {"kind": "reference", "method": "pixels"}

    def run(budget):
        return [cell(judged(score()), budget=budget, training={"steps": 0, "examples": 0}, **idle)]

    assert of(compared(tmp_path, run("10 epochs"), run("2 epochs")), KNN).verdict == "equivalent"


def test_other_data_is_refused_whatever_is_allowed(tmp_path):
    other = accuracies(HIGHER, provenance={"keyed": {"dataset": "0dd"}})
    found = compared(tmp_path, accuracies(), other, across=("budget", "device", "precision", "train"))
    assert of(found, KNN).why == "digits is not the same data: fingerprint da7a against 0dd"
    assert found.exit_code == 3


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"n": 360}, "measured on 400 and on 360 test examples"),
        ({"unit": "percent"}, "in squared MMD and in percent"),
        ({"note": "inception 2, floor 3"}, "by two extractors: inception 1 and inception 2"),
    ],
)
def test_a_score_that_is_another_one_now_is_refused(tmp_path, changed, says):
    about = {"unit": "squared MMD", "better": "lower", "note": "inception 1, floor 3"}
    base = [cell(judged(score("kid", 1 + s / 9, **about), by="fid"), seed=s) for s in range(3)]
    candidate = [cell(judged(score("kid", 1 + s / 8, **{**about, **changed}), by="fid"), seed=s) for s in range(3)]
    row = of(compared(tmp_path, base, candidate), "fid kid")
    assert (row.state, row.why) == ("refused", says)


def speeds(*values: float, **more) -> list:
    about = {"unit": "images/s", "primary": True, "role": "told"}
    return [
        cell(judged(score("images_per_second", value, **about), by="throughput"), seed=seed, **more)
        for seed, value in enumerate(values)
    ]


SPEED = "throughput images per second"
GATE_SPEED = {"evaluation": "throughput", "gate": True}


@pytest.mark.parametrize(
    ("provenance", "says"),
    [
        ({"device name": "Another processor"}, "another hardware: A processor against Another processor"),
        ({"cores": 64}, "another number of cores: 2 against 64"),
        ({"keyed": {"torch": "2.10.0"}}, "another torch: 2.9.0 against 2.10.0"),
    ],
)
def test_a_speed_of_another_machine_is_refused_and_not_passed(tmp_path, provenance, says):
    faster = speeds(200, 210, 220, provenance=provenance)
    found = compared(tmp_path, speeds(100, 101, 102), faster, GATE_SPEED)
    assert says in of(found, SPEED).why
    assert (of(found, SPEED).state, found.exit_code) == ("refused", 3)


def test_times_are_ratios_and_not_gated_unless_it_is_asked(tmp_path):
    base, slower = speeds(100, 101, 102, 100), speeds(80, 81, 81.5, 80)
    told = compared(tmp_path / "1", base, slower)
    row = of(told, SPEED)
    assert (row.verdict, row.gated, told.exit_code) == ("worse", False, 0)
    assert row.change == pytest.approx(-0.2, abs=0.005)
    assert row.low < row.change < row.high < 0
    assert row.margin == 0.05
    assert "measured one run after the other" in row.why
    assert compared(tmp_path / "2", base, slower, GATE_SPEED).exit_code == 1


def test_longer_seconds_are_worse(tmp_path):
    def run(factor):
        return [cell(seed=s, training={"seconds": factor * (9 + s)}) for s in range(4)]

    longer = [cell(seed=s, training={"seconds": 1.2 * (9 + s * 1.01)}) for s in range(4)]
    row = of(compared(tmp_path, run(1.0), longer), "training seconds")
    assert row.verdict == "worse"
    assert row.change == pytest.approx(0.2, abs=0.02)


# What came, went, or failed. ------------------------------------------------------------------------------------------


def test_a_gated_row_that_vanished_cannot_be_compared_until_it_is_acknowledged(tmp_path):
    both = [cell(judged(score(value=v)), judged(score("nmi"), by="clustering"), seed=s) for s, v in enumerate(BASE)]
    found = compared(tmp_path / "1", both, accuracies())
    assert (of(found, "clustering nmi").state, found.exit_code) == ("vanished", 3)
    assert compared(tmp_path / "2", both, accuracies(), accept_vanished=True).exit_code == 0
    excused = {"evaluation": "clustering", "gate": False, "reason": "dropped on purpose"}
    found = compared(tmp_path / "3", both, accuracies(), excused)
    assert found.exit_code == 0
    assert of(found, "clustering nmi").reason == "dropped on purpose"


def test_a_method_that_vanished_takes_all_its_rows_along(tmp_path):
    both = [*accuracies(), *accuracies(method="jigsaw")]
    found = compared(tmp_path, both, accuracies())
    gone = [f for f in found.findings if f.state == "vanished"]
    assert {f.place.method for f in gone} == {"jigsaw"}
    assert KNN in {f.judged for f in gone}
    assert found.exit_code == 3


def test_what_appeared_is_told_and_does_not_count(tmp_path):
    more = [cell(judged(score(value=v)), judged(score("nmi"), by="clustering"), seed=s) for s, v in enumerate(BASE)]
    found = compared(tmp_path, accuracies(), more)
    assert (of(found, "clustering nmi").state, found.exit_code) == ("appeared", 0)


def failed(seed: int) -> list:
    broken = judged(by="knn", status="failed", reason="not trained: loss is not finite")
    return [cell(broken, seed=seed, training={"status": "failed", "reason": "loss is not finite"})]


def test_a_seed_that_fails_in_the_candidate_is_a_regression_whatever_the_others_say(tmp_path):
    candidate = [*accuracies(HIGHER[:4]), *failed(4)]
    found = compared(tmp_path, accuracies(), candidate)
    row = of(found, KNN)
    assert (row.state, row.outcome, found.exit_code) == ("failed", "regression", 1)
    assert row.why.startswith("failed in the candidate at seed 4: not trained: loss is not finite")


def test_all_seeds_that_fail_in_the_candidate_are_a_regression_and_no_vanished_row(tmp_path):
    found = compared(tmp_path, accuracies(BASE[:1]), failed(0))
    assert (of(found, KNN).state, found.exit_code) == ("failed", 1)


def test_a_seed_that_failed_in_the_base_is_no_fault_of_the_candidate(tmp_path):
    found = compared(tmp_path, [*accuracies(BASE[:4]), *failed(4)], accuracies(HIGHER))
    assert (of(found, KNN).state, of(found, KNN).verdict, found.exit_code) == ("compared", "better", 0)


def test_a_value_that_is_not_finite_is_a_failure(tmp_path):
    sides = load_sides(write(tmp_path / "a", accuracies()), write(tmp_path / "b", accuracies(HIGHER)))
    frame = sides[1].frame
    frame.loc[(frame["score"] == "accuracy") & (frame["seed"] == 4), "value"] = float("inf")
    found = compare(*sides)
    assert (of(found, KNN).state, of(found, KNN).why, found.exit_code) == ("failed", "not finite in the candidate", 1)


def test_no_gated_row_is_no_pass(tmp_path):
    everything = [{"evaluation": name, "gate": False} for name in ("knn", "training")]
    found = compared(tmp_path, accuracies(), accuracies(), *everything)
    assert (found.outcome, found.exit_code, found.sentence) == ("cannot compare", 3, "Cannot compare: no row is gated.")


# Counts. --------------------------------------------------------------------------------------------------------------


def counts(**training) -> list:
    return [cell(seed=seed, training=training) for seed in range(2)]


@pytest.mark.parametrize(
    ("training", "row", "verdict"),
    [
        ({"parameters": 5_001}, "training parameters", "worse"),
        ({"parameters": 4_999}, "training parameters", "better"),
        ({"steps": 80}, "training steps", "worse"),  # a fifth of the budget is gone
        ({"steps": 101}, "training steps", "worse"),
        ({}, "training steps", "equivalent"),
    ],
)
def test_a_count_needs_no_statistics(tmp_path, training, row, verdict):
    found = compared(tmp_path, counts(), counts(**training))
    assert of(found, row).verdict == verdict
    assert found.exit_code == (1 if verdict == "worse" else 0)


def test_a_count_may_grow_by_a_margin_that_was_declared(tmp_path):
    declared = {"score": "parameters", "margin": "1%"}
    assert compared(tmp_path / "1", counts(), counts(parameters=5_050), declared).exit_code == 0
    assert compared(tmp_path / "2", counts(), counts(parameters=5_051), declared).exit_code == 1


def test_what_a_budget_in_seconds_gave_is_no_question(tmp_path):
    clocked = [cell(judged(score()), budget="9 seconds")]
    other = [cell(judged(score()), budget="9 seconds", training={"steps": 77})]
    assert "training steps" not in {f.judged for f in compared(tmp_path, clocked, other).findings}


# What they were made with. --------------------------------------------------------------------------------------------


def test_what_differs_is_listed_once_with_the_methods_that_it_concerns(tmp_path):
    base = [*accuracies(BASE[:2]), *accuracies(BASE[:2], method="jigsaw")]
    new = {"keyed": {"torch": "2.10.0"}}
    candidate = [
        *accuracies(BASE[:2], provenance={"keyed": {"torch": "2.10.0", "method source": "bb"}}),
        *accuracies(BASE[:2], method="jigsaw", provenance=new),
    ]
    differing = compared(tmp_path, base, candidate).differing
    assert {(d.what, d.base, d.candidate, d.methods) for d in differing} == {
        ("torch", "2.9.0", "2.10.0", ()),
        ("method source", "aa", "bb", ("vae",)),
    }


def test_an_interrupted_run_says_so(tmp_path):
    base, candidate = write(tmp_path / "a", accuracies()), write(tmp_path / "b", accuracies(BASE[:4]))
    (candidate / "plan.json").write_text('["vae-0", "vae-1", "vae-2", "vae-3", "vae-4"]')
    found = compare(*load_sides(base, candidate))
    assert f"{candidate} lacks 1 cells of its request: it was interrupted" in found.notes


def test_a_damaged_cell_is_said_and_is_no_interruption(tmp_path):
    base, candidate = write(tmp_path / "a", accuracies()), write(tmp_path / "b", accuracies())
    damaged = sorted((candidate / "cells").iterdir())[0]
    damaged.write_bytes(damaged.read_bytes()[:-40])
    found = compare(*load_sides(base, candidate))
    (note,) = [note for note in found.notes if "damaged and left out" in note]
    assert note.startswith(f"{candidate}: damaged and left out: cells/{damaged.name} (")
    assert not any("interrupted" in note for note in found.notes)
