"""Counted costs compared: each rule with two measurements that break it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from harness.gate.exact_findings import differing_conditions, exact_findings, identical, needs_no_judging, rows_of
from harness.gate.findings import Comparison, Finding
from harness.gate.margins import Margins, parse_margins
from harness.gate.wording import sentence

COSTS = {"operators": 100, "views": 40, "peak_bytes": 1_000_000, "held_bytes": 50_000, "kept_bytes": 0, "flops": 10**9}

WEIGHTS = {"trained_weights": 1000, "frozen_weights": 0}


def measured(seed: int = 0, **changes: Any) -> dict[str, Any]:
    """One cell; `changes` are given by path: step__operators=101, conditions__torch="2.0"."""
    found: dict[str, Any] = {
        "ruler": 1,
        "seed": seed,
        "place": {
            "method": "vae", "backbone": "convnet", "source": "digits", "device": "cpu", "precision": "fp32",
            "budget": "30 epochs", "train": "",
        },
        "conditions": {
            "torch": "2.14.1", "device": "cpu", "steps": 5, "device name": "A processor", "instructions": "AVX2",
            "threads": 1, "python": "3.11.7",
        },
        "judging": {"knn on digits": "a0"},
        "status": "ok",
        "reason": "",
        "costs": {"method": dict(WEIGHTS), "step": dict(COSTS), "encoding": dict(COSTS)},
        "calls": {"step": {"operators": {"aten.add.Tensor": 90, "aten.clone.default": 10}, "views": {"aten.t": 40}}},
        "digest": {"losses": "11", "weights": "22", "encoding": "33"},
    }  # fmt: skip
    for path, value in changes.items():
        *folders, name = path.split("__")
        inner = found
        for folder in folders:
            inner = inner["costs"] if folder in ("step", "encoding", "method") and inner is found else inner
            inner = inner[folder]
        inner[name] = value
    return found


def rows(*candidate: dict[str, Any], base: tuple[dict[str, Any], ...] = (), margins: Any = None) -> dict[str, Finding]:
    declared = parse_margins(margins) if margins else Margins()
    return {row.judged: row for row in exact_findings(base or (measured(),), candidate, declared)}


def comparison(found: dict[str, Finding]) -> Comparison:
    return Comparison(base="base", candidate="candidate", findings=tuple(found.values()))


def test_equal_costs_pass_and_are_identical():
    found = rows(measured())
    assert {row.verdict for row in found.values()} == {"equivalent"}
    assert len(found) == 2 + 2 * len(COSTS) + 1
    assert comparison(found).exit_code == 0


@pytest.mark.parametrize(
    ("change", "verdict", "gated"),
    [
        ({"step__operators": 101}, "worse", True),
        ({"step__operators": 99}, "better", True),
        ({"step__flops": 10**9 + 2}, "worse", True),
        ({"step__kept_bytes": 4}, "worse", True),
        ({"step__held_bytes": 50_004}, "worse", True),
        ({"encoding__operators": 101}, "worse", True),
        ({"method__frozen_weights": 1}, "worse", True),
        ({"step__views": 41}, "worse", False),
        ({"step__peak_bytes": 1_009_999}, "equivalent", True),  # within 1 %
        ({"step__peak_bytes": 1_010_001}, "worse", True),
    ],
)
def test_each_quantity_has_its_size_against_its_margin(change, verdict, gated):
    found = rows(measured(**change))
    part, _, score = next(iter(change)).partition("__")
    row = found[f"{part} {score.replace('_', ' ')}"]
    assert (row.verdict, row.gated) == (verdict, gated)
    assert comparison(found).exit_code == (1 if verdict == "worse" and gated else 0)
    others = {name: other for name, other in found.items() if other is not row}
    assert {other.verdict for other in others.values()} == {"equivalent"}


def test_what_changed_is_named_with_the_largest_changes_first():
    calls = {"aten.add.Tensor": 89, "aten.clone.default": 12, "aten.mul.Tensor": 1}
    row = rows(measured(step__operators=102, calls__step={"operators": calls}))["step operators"]
    assert row.why.endswith("aten.clone.default +2, aten.add.Tensor −1, aten.mul.Tensor +1")
    assert sentence(row, 0.9) == (
        "vae on digits: step operators worse: 100 → 102 (+2, margin 0): beyond the margin; "
        "aten.clone.default +2, aten.add.Tensor −1, aten.mul.Tensor +1"
    )


def test_a_margins_file_allows_a_loss_leaves_a_row_out_or_asks_for_the_same_bits():
    more = measured(step__operators=103)
    assert (
        rows(more, margins={"margin": [{"score": "operators", "margin": 3}]})["step operators"].verdict == "equivalent"
    )
    part = {"margin": [{"evaluation": "step", "margin": "3%"}]}
    assert rows(more, margins=part)["step operators"].verdict == "equivalent"
    ungated = rows(more, margins={"margin": [{"score": "operators", "gate": False, "reason": "see #12"}]})
    assert comparison(ungated).exit_code == 0
    assert ungated["step operators"].reason == "see #12"
    other = measured(digest__weights="99")
    assert comparison(rows(other)).exit_code == 0
    gated = rows(other, margins={"margin": [{"score": "digest", "gate": True}]})
    assert (gated["method digest"].verdict, comparison(gated).exit_code) == ("worse", 1)


def test_several_seeds_are_judged_at_the_worst():
    found = rows(measured(0, step__operators=90), measured(1, step__operators=101), base=(measured(0), measured(1)))
    row = found["step operators"]
    assert (row.verdict, row.seeds, row.low, row.high) == ("worse", 2, -10, 1)


@pytest.mark.parametrize(
    ("base", "candidate", "state", "why", "code"),
    [
        ({}, {"status": "failed", "reason": "no"}, "failed", "failed in the candidate at seed 0: no", 1),
        ({}, {"status": "skipped", "reason": "takes images"}, "vanished", "skipped in the candidate at seed 0", 3),
        ({}, {"conditions__torch": "2.0"}, "refused", "another torch: 2.14.1 → 2.0", 3),
        ({}, {"conditions__steps": 6}, "refused", "another steps: 5 → 6", 3),
        ({}, {"ruler": 2}, "refused", "measured by another ruler: 1 → 2", 3),
        ({"status": "failed", "reason": "ValueError: no"}, {}, "appeared", "failed in the base at seed 0", 3),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_says_so(base, candidate, state, why, code):
    (row,) = rows(measured(**candidate), base=(measured(**base),)).values()
    assert row.state == state
    assert row.why.startswith(why)
    assert comparison({"": row}).exit_code == code


def test_a_cell_that_vanished_and_one_that_failed_on_both_sides():
    other = measured(place__method="jigsaw")
    found = exact_findings([measured(), other], [measured()], Margins())
    assert [(row.place.method, row.state) for row in found if row.state != "compared"] == [("jigsaw", "vanished")]
    broken, idle = measured(status="failed", reason="no"), measured(status="skipped", reason="takes texts")
    (row,) = exact_findings([broken], [broken], Margins())
    assert (row.outcome, row.why) == ("cannot compare", "failed in both at seed 0: no")
    assert exact_findings([idle], [idle], Margins()) == []


def test_a_quantity_that_one_side_cannot_count():
    without = measured()
    del without["costs"]["step"]["flops"]
    assert rows(without)["step flops"].state == "vanished"
    assert rows(measured(), base=(without,))["step flops"].state == "appeared"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"step__operators": 101}, True),  # bits are of numbers, not of work
        ({"digest__encoding": "00"}, False),
        ({"conditions__instructions": "AVX512"}, False),
        ({"conditions__python": "3.12"}, True),
        ({"status": "failed"}, False),
        ({"digest": {}}, False),
    ],
)
def test_identical_is_of_the_same_bits_under_the_same_conditions(change, same):
    assert identical(measured(), measured(**change)) == same


def test_another_machine_says_nothing_of_bits_but_of_counts():
    found = rows(measured(**{"conditions__device name": "Another", "step__operators": 101}))
    assert found["method digest"].state == "refused"
    assert found["step operators"].verdict == "worse"
    assert comparison(found).exit_code == 1


def test_other_judges_are_asked_even_of_the_same_bits():
    assert needs_no_judging(measured(), measured())
    assert not needs_no_judging(measured(), measured(judging={"knn on digits": "b1"}))
    assert not needs_no_judging(measured(judging={}), measured(judging={}))
    assert not needs_no_judging(measured(), measured(digest__losses="00"))


def test_what_differs_of_the_conditions_is_said_once():
    base, candidate = [measured(0), measured(1)], [measured(0, conditions__python="3.12"), measured(1)]
    (one,) = differing_conditions(base, candidate)
    assert (one.what, one.base, one.candidate) == ("python", "3.11.7", "3.12")
    assert differing_conditions(base, copy.deepcopy(base)) == ()


def test_margins_know_the_names_of_quantities():
    margins = parse_margins({"margin": [{"evaluation": "step", "score": "peak_bytes", "margin": "2%"}]})
    margins.check(rows_of([measured()]))


def test_of_a_cell_whose_process_ended_no_more_is_known_than_its_place():
    known = {key: measured()[key] for key in ("seed", "place")}
    died = {**known, "status": "failed", "reason": "its process ended without an answer, SIGSEGV"}
    for base, candidate in ((measured(), died), (died, measured()), (died, died)):
        assert not identical(base, candidate)
        assert not needs_no_judging(base, candidate)
        assert differing_conditions([base], [candidate]) == ()
    (row,) = rows(died, base=(measured(),)).values()
    assert (row.state, row.why) == ("failed", "failed in the candidate at seed 0: " + died["reason"])
    assert rows_of([known]) == rows_of([died]) == []  # nothing was counted: without the exact tier, of any cell
