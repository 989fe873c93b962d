"""The rule of the gate: against t tests and intervals of scipy, at its limits, and the rates that it promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from harness.metrics.crossed import crossed_difference
from harness.metrics.non_inferiority import Design, Question, Rule, by_size, decide
from harness.metrics.statistics import Difference, paired_difference

RULE = Rule()


def gain(*deltas: float) -> Difference:
    found = paired_difference(dict(enumerate(deltas)), dict.fromkeys(range(len(deltas)), 0.0))
    assert found is not None
    return found


def about(effect: float, error: float, seeds: int = 10) -> Difference:
    """A gain that was estimated so, from seeds alone."""
    spread = np.resize([1.0, -1.0], seeds) if seeds % 2 == 0 else np.r_[np.resize([1.0, -1.0], seeds - 1), 0.0]
    return gain(*(effect + spread / spread.std(ddof=1) * error * np.sqrt(seeds)))


def one(found: Difference, margin: float = 0.01, rule: Rule = RULE, **more):
    (decision,) = decide([Question(gain=found, margin=margin, **more)], rule)
    return decision


@pytest.mark.parametrize(
    ("effect", "error", "word", "passes"),
    [
        (0.0, 0.001, "equivalent", True),
        (0.0, 0.02, "undecided", False),
        (-0.03, 0.005, "worse", False),
        (0.03, 0.005, "better", True),
        (-0.008, 0.0005, "equivalent", True),  # surely a loss, and surely within the margin
        (-0.008, 0.002, "worse", False),  # surely a loss, and perhaps of the margin
        (-0.004, 0.001, "equivalent", True),
        (-0.004, 0.0035, "undecided", False),  # perhaps a loss, perhaps of the margin
        (0.012, 0.009, "undecided", True),  # not worse by the margin; better perhaps
        (-0.013, 0.03, "undecided", False),
    ],
)
def test_the_words(effect, error, word, passes):
    found = one(about(effect, error))
    assert (found.word, found.non_inferior) == (word, passes)


def test_an_alarm_needs_half_the_margin():
    """Which follows from the rest, unless alarms are easier than passes."""
    easy = Rule(alarm=0.2, wrong_pass=0.01)
    assert one(about(-0.004, 0.003), rule=easy).word == "undecided"
    assert one(about(-0.006, 0.003), rule=easy).word == "worse"


def test_over_seeds_alone_it_is_two_one_sided_t_tests():
    rng = np.random.default_rng(3)
    for seeds in (2, 3, 5, 10):
        a, b = rng.normal(0.9, 0.01, (2, seeds))
        found = one(gain(*(a - b)))
        low, high = stats.t.interval(0.9, seeds - 1, loc=(a - b).mean(), scale=stats.sem(a - b))
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-3)
        side = "less" if (a - b).mean() < 0 else "greater"
        assert found.p == pytest.approx(stats.ttest_rel(a, b, alternative=side).pvalue, rel=2e-2)
        below = stats.ttest_1samp(a - b, -0.01, alternative="greater").pvalue
        assert found.non_inferior == (below < 0.05)
        above = stats.ttest_1samp(a - b, 0.01, alternative="less").pvalue
        assert (found.word == "equivalent") == (max(below, above) < 0.05)


def test_with_outcomes_the_interval_is_the_crossed_one():
    rng = np.random.default_rng(1)
    a, b = (dict(enumerate(rng.integers(0, 2, (3, 200)))) for _ in range(2))
    crossed = crossed_difference(a, b, proportion=True, level=0.9)
    found = one(crossed_difference(a, b, proportion=True))
    assert (found.low, found.high) == pytest.approx((crossed.low, crossed.high))


def test_an_alarm_is_corrected_by_holm_and_a_pass_is_not():
    bad, good = about(-0.03, 0.009), about(0.0, 0.001)
    assert one(bad).word == "worse"
    found = decide([Question(gain=bad, margin=0.01), *[Question(gain=good, margin=0.01)] * 20])
    assert found[0].word == "undecided"
    assert found[0].p == pytest.approx(21 * one(bad).p)
    assert {each.word for each in found[1:]} == {"equivalent"}


def test_what_is_identical_or_untestable_costs_the_others_nothing():
    bad = about(-0.03, 0.009)
    others = [Question(gain=gain(0.1), margin=0.01), Question(gain=bad, margin=0.01, identical=True)]
    assert decide([Question(gain=bad, margin=0.01), *others])[0].p == one(bad).p


def test_identical_passes_at_one_seed_and_with_a_margin_of_nothing():
    found = one(gain(0.0), margin=0.0, identical=True)
    assert (found.word, found.non_inferior, found.why) == ("equivalent", True, "identical")


@pytest.mark.parametrize(
    ("deltas", "word", "says"),
    [
        ((-0.5,), "undecided", "one seed says nothing of others"),
        ((0.0,), "undecided", "one seed says nothing of others"),
        ((-0.5, -0.5), "undecided", "both seeds gave the same difference"),
        ((-0.5, -0.5, -0.5), "worse", "the same difference at all 3 seeds"),
        ((0.5, 0.5, 0.5), "better", "the same difference at all 3 seeds"),
        ((-0.009, -0.009, -0.009), "equivalent", "the same difference at all 3 seeds"),
    ],
)
def test_what_cannot_be_tested(deltas, word, says):
    found = one(gain(*deltas))
    assert found.word == word
    assert says in found.why
    assert found.non_inferior == (word in ("better", "equivalent"))


def test_a_count_is_judged_by_its_size():
    assert [by_size(x, 2.0).word for x in (-3, -2, 0, 2, 3)] == ["worse", *["equivalent"] * 3, "better"]
    assert not by_size(-3, 2.0).non_inferior


# What the design can do. ----------------------------------------------------------------------------------------------


def design(of_seeds=1e-5, of_examples=0.0, seeds=5, margin=0.01, rule=RULE) -> Design:
    return Design(of_seeds=of_seeds, of_examples=of_examples, seeds=seeds, margin=margin, rule=rule)


@pytest.mark.parametrize("seeds", [2, 3, 5, 20])
@pytest.mark.parametrize("share", [1.0, 0.0])
def test_a_loss_of_the_margin_passes_as_often_as_was_promised(seeds, share):
    rule = Rule(wrong_pass=0.1)
    here = design(1e-5 * share, 1e-5 * (1 - share), seeds, rule=rule)
    assert here.passes(-0.01) == pytest.approx(0.1, abs=0.002)


@pytest.mark.parametrize(("tested", "rate"), [(1, 0.05), (5, 0.01)])
def test_where_noise_exceeds_the_margin_alarms_come_as_often_as_was_promised(tested, rate):
    assert design(margin=0.0).alarms(0.0, tested) == pytest.approx(rate, abs=0.001)
    assert design(1e-7).alarms(0.0) < 1e-4  # and where it does not, hardly ever


def test_chances_are_those_of_a_simulation():
    rng = np.random.default_rng(0)
    deltas = rng.normal(-0.02, 0.012, (600, 4))
    found = [one(gain(*row)) for row in deltas]
    here = design(0.012**2 / 4, 0.0, 4)
    assert np.mean([each.word == "worse" for each in found]) == pytest.approx(here.alarms(-0.02), abs=0.06)
    assert np.mean([each.non_inferior for each in found]) == pytest.approx(here.passes(-0.02), abs=0.02)


def test_the_detectable_loss_is_called_worse_with_80_percent_power():
    here = design()
    size = here.detectable(tested=4)
    assert here.alarms(-size, tested=4) == pytest.approx(0.8, abs=1e-4)
    assert design(1e-12).detectable() == pytest.approx(0.01, rel=0.01)  # never less than the margin itself


def test_so_many_seeds_are_enough_and_one_less_is_not():
    here = design(4e-5)
    for effect, chance in ((0.0, lambda n: here.at(n).passes(0.0)), (-0.02, lambda n: here.at(n).alarms(-0.02))):
        enough = here.enough_seeds(effect)
        assert chance(enough) >= 0.8 > chance(enough - 1)


def test_where_examples_are_the_limit_no_seeds_help():
    found = one(replace(gain(0.001, -0.001, 0.0005), of_seeds=1e-8, of_examples=1e-3, examples=100))
    assert (found.word, found.seeds, found.why) == ("undecided", None, "more test examples would be needed")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rule(alarm=0.0),
        lambda: Rule(wrong_pass=0.5),
        lambda: Question(gain=gain(0.1, 0.2), margin=-0.1),
        lambda: Question(gain=gain(0.1, 0.2), margin=float("inf")),
    ],
)
def test_what_makes_no_sense_is_refused(make):
    with pytest.raises(ValueError, match=r"chances above 0|finite number and not negative"):
        make()
