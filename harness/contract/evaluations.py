"""The contract of evaluations, check by check: what their scores say of themselves."""

from __future__ import annotations

from harness.contract.requirements import require
from harness.plugin.capabilities import CAPABILITIES
from harness.plugin.specs import EvaluationSpec


def scores_are_specified(spec: EvaluationSpec) -> str:
    names = [score.name for score in spec.scores]
    require(bool(names), "it yields no score")
    require(len(set(names)) == len(names), "two of its scores have one name")
    for score in spec.scores:
        require(score.better in ("higher", "lower", "none"), f"{score.name} is better when '{score.better}'")
        require(bool(score.unit), f"{score.name} has no unit: 'fraction', 'nats', 'count' ...")
        bounded = score.low is not None and score.high is not None
        require(not bounded or score.low < score.high, f"{score.name} lies in [{score.low}, {score.high}]")  # type: ignore[operator]
    return ", ".join(names)


def at_most_one_score_ranks(spec: EvaluationSpec) -> str:
    primary = [score for score in spec.scores if score.primary]
    require(len(primary) <= 1, f"{' and '.join(score.name for score in primary)} are both primary: choose one")
    if primary:
        require(primary[0].better != "none", f"{primary[0].name} is primary, but has no better direction")
    return primary[0].name if primary else "none does"


def needs_are_known(spec: EvaluationSpec) -> str:
    known = {*CAPABILITIES, "labels"}
    unknown = [need for need in spec.needs if need not in known]
    require(not unknown, f"it needs {', '.join(unknown)}, which is no capability of {', '.join(sorted(known))}")
    return ", ".join(spec.needs)


CHECKS = (scores_are_specified, at_most_one_score_ranks, needs_are_known)
