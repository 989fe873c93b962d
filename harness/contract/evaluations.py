"""The contract of evaluations, check by check: what their scores say of themselves."""

from __future__ import annotations

from typing import get_args

from harness.contract.requirements import require
from harness.plugin.capabilities import CAPABILITIES
from harness.plugin.specs import EvaluationSpec
from harness.records import Role, ScoreSpec


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
    """Others that are shown as columns are told: they answer a question, or stand in for each other."""
    primary = [score for score in spec.scores if score.primary and score.role != "told"]
    require(len(primary) <= 1, f"{' and '.join(score.name for score in primary)} are both primary: choose one")
    if primary:
        require(primary[0].better != "none", f"{primary[0].name} is primary, but has no better direction")
    return primary[0].name if primary else "none does"


def scores_say_how_a_report_shows_them(spec: EvaluationSpec) -> str:
    names = {score.name for score in spec.scores}
    words = [(score.beside, score.word) for score in spec.scores if score.beside]
    for score in spec.scores:
        known = score.role in get_args(Role)
        require(known, f"{score.name} has the role '{score.role}', which is none of {', '.join(get_args(Role))}")
        ranks = score.primary or score.role not in ("leads", "follows")
        require(ranks, f"{score.name} {score.role}, but is not primary: only primary scores are columns of a report")
        _stands_beside_another(score, names)
        require(words.count((score.beside, score.word)) <= 1, f"two scores stand beside {score.beside} as {score.word}")
        share = not score.proportion or (score.low, score.high) == (0, 1)
        require(share, f"{score.name} is a proportion: say low=0 and high=1")
    return ", ".join(f"{score.name} {score.role}" for score in spec.scores if score.primary) or "none is a column"


def _stands_beside_another(score: ScoreSpec, names: set[str]) -> None:
    both = bool(score.beside) == bool(score.word)
    require(both, f"{score.name} needs both or none: beside='{score.beside}', word='{score.word}'")
    others = names - {score.name}
    known = not score.beside or score.beside in others
    require(known, f"{score.name} stands beside '{score.beside}', which is no other score of it: {sorted(others)}")


def needs_are_known(spec: EvaluationSpec) -> str:
    known = {*CAPABILITIES, "labels", "masks", "targets"}
    unknown = [need for need in spec.needs if need not in known]
    require(not unknown, f"it needs {', '.join(unknown)}, which is no capability of {', '.join(sorted(known))}")
    return ", ".join(spec.needs)


CHECKS = (
    scores_are_specified,
    at_most_one_score_ranks,
    scores_say_how_a_report_shows_them,
    needs_are_known,
)
