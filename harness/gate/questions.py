"""One score of both runs, seed by seed: judged at once where nothing is left to chance, else as a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp, log

from harness.examples import Outcomes
from harness.gate.findings import Finding
from harness.gate.margins import Margin
from harness.metrics.non_inferiority import Decision, Question, by_size
from harness.report.differences import difference


@dataclass(frozen=True)
class Sample:
    """One score of one side, in the shape that harness.report.differences reads."""

    by_seed: Mapping[int, float]
    kept: Mapping[int, Outcomes] = field(default_factory=dict)  # what each test example got


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A row that is still to be judged, with all that are of its family."""

    finding: Finding
    question: Question


def of_counts(finding: Finding, values: Sequence[tuple[float, float]]) -> Finding:
    """A count is judged at the seed where it is worst: none of them is left to chance. values: (base, candidate)."""
    if finding.direction == "same":
        gains = [-abs(new - old) for old, new in values]
    else:
        gains = [(new - old) * (-1 if finding.direction == "lower" else 1) for old, new in values]
    found = by_size(min(gains), finding.margin or 0.0)
    ends = sorted(new - old for old, new in values)
    why = _joined(finding.why, found.why)
    return replace(finding, verdict=found.word, non_inferior=found.non_inferior, why=why, low=ends[0], high=ends[-1])


def of_quality(finding: Finding, base: Sample, candidate: Sample, *, proportion: bool, identical: bool) -> Asked:
    """By seed, and by test example where both sides kept what each got."""
    higher = finding.direction != "lower"
    better, worse = (candidate, base) if higher else (base, candidate)
    gain = difference(better, worse, proportion=proportion)
    assert gain is not None
    # by the examples that both have, which the means of the scores need not be of
    change = gain.effect if higher else 0.0 - gain.effect
    finding = replace(finding, change=change, examples=gain.examples)
    return Asked(finding=finding, question=Question(gain=gain, margin=finding.margin or 0.0, identical=identical))


def of_times(finding: Finding, margin: Margin, base: Sample, candidate: Sample) -> Finding | Asked:
    """Times are compared by their ratios. What two runs at two times give is no interleaved measurement: it says so."""
    if min(*base.by_seed.values(), *candidate.by_seed.values()) <= 0:
        return replace(finding, state="refused", why="a time or a rate of 0: nothing to divide by")
    first, second = (Sample({seed: log(value) for seed, value in side.by_seed.items()}) for side in (base, candidate))
    higher = finding.direction == "higher"
    better, worse = (second, first) if higher else (first, second)
    gain = difference(better, worse, proportion=False)
    assert gain is not None
    why = _joined(finding.why, "measured one run after the other")
    change = exp(gain.effect if higher else -gain.effect) - 1
    finding = replace(finding, change=change, margin=margin.size, why=why)
    return Asked(finding=finding, question=Question(gain=gain, margin=log(1 + margin.size)))


def decided(asked: Asked, decision: Decision) -> Finding:
    """The row with what was decided, in the unit and the direction of its score."""
    finding = asked.finding
    interval = [decision.low, decision.high]
    if finding.direction == "lower":
        interval = [None if end is None else 0.0 - end for end in reversed(interval)]
    detectable = decision.detectable
    if finding.kind == "paired-time":
        interval = [None if end is None else exp(end) - 1 for end in interval]
        detectable = None if detectable is None else exp(detectable) - 1
    return replace(
        finding,
        verdict=decision.word,
        non_inferior=decision.non_inferior,
        why=_joined(finding.why, decision.why),
        low=interval[0],
        high=interval[1],
        p=decision.p,
        detectable=detectable,
        seeds_needed=decision.seeds,
    )


def _joined(*texts: str) -> str:
    return "; ".join(filter(None, texts))
