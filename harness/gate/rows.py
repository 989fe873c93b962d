"""The rows of a pair of units: one for each score that has a better direction, whatever became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite

import numpy as np

from harness.gate import pairing
from harness.gate.findings import Finding
from harness.gate.identity import Identity, sample
from harness.gate.margins import Margin, Margins
from harness.gate.pairing import Pair, Row, Unit
from harness.gate.questions import Asked, of_counts, of_quality, of_times

Rows = Mapping[int, Row]  # of one score of one unit, by seed


@dataclass
class RowMaker:
    """Makes rows: judged already where nothing is left to chance, else with the question that is asked."""

    margins: Margins
    identity: Identity
    fingerprints: tuple[Mapping[str, str], Mapping[str, str]]  # of the datasets of each side
    across: Sequence[str] = ()  # settings that may differ
    told: int = field(default=0, init=False)  # scores that are not judged

    def rows(self, pair: Pair) -> Iterable[Finding | Asked]:
        """A row for each score of either side."""
        old, new = pair.base, pair.candidate
        for score in dict.fromkeys([*(old.scores if old else ()), *(new.scores if new else ())]):
            one, other = (unit.scores.get(score, {}) if unit else {} for unit in (old, new))
            row = next(iter((other or one).values()))
            margin = self.margins.of(row)
            if margin.direction == "none" or _never_ran(margin, one, other) or _asked_otherwise(margin, pair):
                self.told += 1
                continue
            finding = Finding(
                place=pair.place,
                score=score,
                unit=row["unit"],
                direction=margin.direction,  # type: ignore[arg-type]
                kind=margin.kind,
                gated=margin.gate,
                base=_mean(one, other),
                candidate=_mean(other, one),
                reason=margin.reason,
            )
            if old is None or new is None or not one or not other:
                yield _of_one_side(finding, pair, of_base=bool(one))
            elif reason := self._refusal(old, new, margin, one, other):
                yield replace(finding, state="refused", why=reason)
            else:
                yield self._of_both(finding, old, new, margin, one, other)

    def _refusal(self, old: Unit, new: Unit, margin: Margin, one: Rows, other: Rows) -> str:
        timed = margin.kind == "paired-time"
        if reason := pairing.refusal(old, new, self.fingerprints, self.across):
            return reason
        if timed and (reason := pairing.refusal_of_time(old, new)):
            return reason
        if not one.keys() & other.keys():
            return f"no seed in common: {listed(one)} against {listed(other)}"
        return pairing.refusal_of_score(one, other, timed=timed)

    def _of_both(
        self, finding: Finding, old: Unit, new: Unit, margin: Margin, one: Rows, other: Rows
    ) -> Finding | Asked:
        common = sorted(one.keys() & other.keys())
        base, candidate = finding.base, finding.candidate
        assert base is not None
        assert candidate is not None
        finding = replace(finding, seeds=len(common), margin=margin.of(base), change=candidate - base)
        failed = {seed: new.troubles[seed] for seed in new.troubles if seed in one and seed not in common}
        failed = {seed: trouble for seed, trouble in failed.items() if trouble[0] == "failed"}
        if failed:  # a regression, whatever the other seeds say
            finding = replace(finding, state="failed", why=_trouble(failed, "the candidate"))
        if odd := _not_finite(one, other, common):
            return replace(finding, state="failed" if odd == "the candidate" else "refused", why=f"not finite in {odd}")
        if margin.kind == "exact":
            return of_counts(finding, [(one[seed]["value"], other[seed]["value"]) for seed in common])
        first, second = (sample(side, rows) for side, rows in zip(self.identity.sides, (one, other), strict=True))
        if margin.kind == "paired-time":
            return of_times(finding, margin, first, second)
        proportion, same = bool(one[common[0]]["proportion"]), self.identity.of(old, new, common)
        return of_quality(finding, first, second, proportion=proportion, identical=same)


def _of_one_side(finding: Finding, pair: Pair, *, of_base: bool) -> Finding:
    """A row that one run has alone: it appeared, vanished, or failed in the candidate."""
    unit, where = (pair.candidate, "the candidate") if of_base else (pair.base, "the base")
    troubles = unit.troubles if unit else {}
    failed = {seed: trouble for seed, trouble in troubles.items() if trouble[0] == "failed"}
    if of_base and failed:
        return replace(finding, state="failed", why=_trouble(failed, where))
    why = _trouble(troubles, where) if troubles else f"not in {where}"
    return replace(finding, state="vanished" if of_base else "appeared", why=why)


def _never_ran(margin: Margin, *sides: Rows) -> bool:
    """Is it a time of what took none, such as the training of a reference?"""
    return margin.kind == "paired-time" and not any(row["value"] for rows in sides for row in rows.values())


def _asked_otherwise(margin: Margin, pair: Pair) -> bool:
    """What training was given is asked for by the budget: of another one, or of one in seconds, it is no question."""
    if margin.kind != "exact" or not pairing.is_training(pair.place):
        return False
    units = [unit for unit in (pair.base, pair.candidate) if unit and not unit.idle]
    return len({unit.place.budget for unit in units}) > 1 or any(pairing.is_clocked(unit.place) for unit in units)


def _not_finite(one: Rows, other: Rows, seeds: Sequence[int]) -> str:
    for rows, where in ((other, "the candidate"), (one, "the base")):
        if not all(isfinite(rows[seed]["value"]) for seed in seeds):
            return where
    return ""


def _mean(rows: Rows, others: Rows) -> float | None:
    """Over the seeds that both have; where one side has none, over all."""
    seeds = sorted(rows.keys() & others.keys()) or sorted(rows)
    return float(np.mean([rows[seed]["value"] for seed in seeds])) if seeds else None


def _trouble(troubles: Mapping[int, tuple[str, str]], where: str) -> str:
    """`failed in the candidate at seed 2: loss is not finite`."""
    status, reason = next(iter(troubles.values()))
    s = "s" if len(troubles) > 1 else ""
    return f"{status} in {where} at seed{s} {listed(troubles)}: {reason}"


def listed(seeds: Iterable[int]) -> str:
    """`0, 1, 2`."""
    return ", ".join(map(str, sorted(seeds)))
