"""Which differences more seeds may decide, and what a level below 5 % does to a difference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from example_run import compare

from harness.examples import Outcomes
from harness.report.decided import open_differences
from harness.report.entries import Entry
from harness.report.ranking import improvement
from harness.report.verdicts import verdict


@pytest.fixture(scope="module")
def digits(results):
    return compare(results)[0]


def with_values(comparison, **values):
    """The comparison with these values of the leading score over the seeds, each with its gain over random-init."""
    column = comparison.leading_column()
    of = {name: Entry(by_seed=dict(enumerate(found))) for name, found in values.items()}
    rows = []
    for row in comparison.rows:
        if row.series.method.partition("[")[0] in of:
            entry = of[row.series.method.partition("[")[0]]
            mean = float(np.mean(list(entry.by_seed.values())))
            gain = improvement(entry, of["random-init"], column) if row.series.competes else None
            estimate = replace(comparison.leading_entry(comparison.rows[0]).estimate, mean=mean)
            entry = replace(entry, gain=gain, p=gain.p if gain else None, estimate=estimate)
            rows.append(replace(row, entries=(entry,)))
    return replace(comparison, rows=tuple(rows), columns=(column,), leading=0)


BASE = (0.80, 0.81, 0.79)


@pytest.mark.parametrize(
    ("vae", "rotation", "left"),
    [
        ((0.90, 0.91, 0.891), (0.70, 0.712, 0.69), []),  # all far apart
        ((0.90, 0.91, 0.891), (0.82, 0.80, 0.81), ["rotation against random-init on digits"]),
        ((0.90, 0.91, 0.891), (0.92, 0.90, 0.901), ["rotation against vae on digits"]),
        ((0.90, 0.91, 0.891), (0.90, 0.91, 0.891), []),  # the same at all seeds: no test, and more seeds are no help
        ((0.85, 0.75, 0.801), (0.70, 0.712, 0.69), []),  # no difference of the size that was seen would be found
    ],
)
def test_what_is_open_is_what_more_seeds_may_decide(digits, vae, rotation, left):
    comparison = with_values(digits, vae=vae, rotation=rotation, **{"random-init": BASE})
    assert [text for text in open_differences(comparison) if "vae against" not in text] == left


def test_nothing_is_open_without_a_leading_score(digits):
    assert list(open_differences(replace(digits, leading=None))) == []


@pytest.mark.parametrize("alpha", [0.05, 0.0124, 0.0037])
@pytest.mark.parametrize("shift", [0.01, 0.03, 0.06, 0.12])
@pytest.mark.parametrize("kept", [True, False])
def test_interval_p_and_level_agree(digits, alpha, shift, kept):
    """The interval leaves out 0 where p is below 0.05, whatever the level: both are those of this look."""
    rng = np.random.default_rng(int(1000 * shift))
    right = {name: rng.random((5, 400)) < 0.8 + more for name, more in (("a", shift), ("b", 0.0))}
    a, b = (
        Entry(
            by_seed=dict(enumerate(values.mean(1))),
            kept={s: Outcomes(values=one.astype(float)) for s, one in enumerate(values)} if kept else {},
        )
        for values in right.values()
    )
    column = replace(digits.leading_column(), alpha=alpha, better="higher")
    found = improvement(a, b, column)
    usual = improvement(a, b, replace(column, alpha=0.05))
    assert found.p == pytest.approx(min(1.0, usual.p * 0.05 / alpha))
    assert (found.low > 0 or found.high < 0) == (found.p < 0.05)
    assert found.detectable >= usual.detectable
    assert (verdict(found, found.p).word == "differs") == (usual.p < alpha)
