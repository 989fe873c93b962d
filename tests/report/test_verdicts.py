"""Three things may be said of a difference, and only they."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.metrics.statistics import Estimate, paired_difference
from harness.report.numbers import KEPT, duration, interval, number, plain, plus_minus, probability
from harness.report.verdicts import verdict


def found(*deltas: float):
    return paired_difference(dict(enumerate(deltas)), dict.fromkeys(range(len(deltas)), 0.0))


@pytest.mark.parametrize(
    ("deltas", "word", "why"),
    [
        ((0.10, 0.11, 0.09, 0.10), "differs", "p < 0.001"),
        ((0.02, 0.05, -0.01), "cannot tell", "about 20 seeds would settle it"),
        ((0.05, -0.05, 0.02, -0.019), "no difference found", "0.093 or more would have been"),
        ((0.05,), "cannot tell", "one seed"),
        ((0.05, 0.05), "cannot tell", "all seeds gave the same difference"),
    ],
)
def test_the_verdict_is_one_of_three(deltas, word, why):
    difference = found(*deltas)
    says = verdict(difference, difference.p, "fraction")
    assert (says.word, plain(says.why)) == (word, why)
    assert plain(str(says)) == (why if word == "differs" else f"{word}: {why}")


def test_a_corrected_p_asks_for_more_seeds_than_there_are():
    difference = found(0.10, 0.11, 0.12)
    says = verdict(difference, 0.06, "fraction")
    assert plain(says.why) == "about 4 seeds would settle it"
    of_many = paired_difference(dict(enumerate((0.02, 0.05, -0.01))), dict.fromkeys(range(3), 0.0))
    alone, many = (plain(verdict(of_many, p, "fraction").why) for p in (of_many.p, min(1.0, 4 * of_many.p)))
    assert int(many.split()[1]) > int(alone.split()[1])  # of four that are tested, each has to reach further


def test_what_was_not_tested_has_no_verdict():
    difference = found(0.10, 0.11, 0.09)
    assert verdict(difference, None, "fraction") is None
    assert verdict(replace(difference, p=None), None, "fraction").word == "cannot tell"


def test_no_line_breaks_within_a_number():
    difference = found(0.10, 0.11, 0.12)
    estimate = Estimate(mean=0.9, low=0.8, high=1.0, n=3)
    texts = [
        probability(0.0001), probability(0.012), interval(difference, "fraction"), plus_minus(estimate, "fraction"),
        number(5.32e7, "weights"), duration(7500), duration(0.4),
        verdict(difference, 0.06, "fraction").brief, verdict(found(0.05, -0.05, 0.02, -0.019), 0.9, "fraction").brief,
    ]  # fmt: skip
    assert [text for text in texts if " " in text] == []
    assert all(KEPT in text for text in texts)
