"""Is a stored cell one that Harness could have stored? A file can be whole, and its values be nonsense all the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from harness.errors import HarnessError
from harness.records import CellResult, CurvePoint, EvaluationResult, Score, ScoreSpec, TrainingResult

MOST_COUNTED = 2**62  # seeds, examples, steps
MOST_VALUE = 1e300  # beyond it, squares and sums are not finite
LONGEST = 200_000  # characters of one text
TABLES = {"identity": "train", "provenance": "keyed"}  # in a mapping of free form, what is read by its own keys
ROUNDING = 1e-6  # of a score's range: what a mean in float32 may be beyond it
COUNTED: dict[type, tuple[str, ...]] = {  # what is never negative
    TrainingResult: ("seconds", "steps", "examples", "parameters", "views", "passes", "flops"),
    EvaluationResult: ("seconds",),
    CurvePoint: ("examples", "seconds"),
}


class Unsound(HarnessError):
    """A value that no cell has."""


def sound(result: CellResult) -> CellResult:
    """The same cell. Raises Unsound for the first value that cannot be one of a cell."""
    if not 0 <= result.cell.seed < MOST_COUNTED:
        raise Unsound(f"its seed is {result.cell.seed:.3g}" if abs(result.cell.seed) < 1e300 else "its seed is no seed")
    for mapping, key in TABLES.items():
        if not isinstance(getattr(result, mapping).get(key, {}), Mapping):
            raise Unsound(f"the {key} of its {mapping} is no table")
    for evaluation in result.evaluations:
        for score in evaluation.scores:
            _check_score(score, f"{evaluation.evaluation[:80]} {score.score[:80]}")
    _check_leaves(result)
    return result


def limits(score: Score | ScoreSpec) -> tuple[float | None, float | None]:
    """The smallest and the largest value that a score may have: those that it declares, and of a share 0 and 1."""
    return (0.0, 1.0) if score.proportion else (score.low, score.high)


def is_outside(value: float, low: float | None, high: float | None) -> bool:
    """Is a score outside of its range by more than a mean in float32 is rounded?

    >>> is_outside(1.7, 0.0, 1.0), is_outside(1.0 + 1e-7, 0.0, 1.0), is_outside(1.7, 0.0, None)
    (True, False, False)
    """
    room = ROUNDING * abs(high - low) if low is not None and high is not None else ROUNDING
    return (low is not None and value < low - room) or (high is not None and value > high + room)


def _check_score(score: Score, name: str) -> None:
    low, high = limits(score)
    if is_outside(score.value, low, high):
        raise Unsound(f"its {name} is {score.value:g}, outside of {low} to {high}")
    if score.n < 0:
        raise Unsound(f"its {name} has n = {score.n:.3g}" if score.n > -MOST_COUNTED else f"its {name} has no n")


@cache
def _fields(record: Any) -> list[str]:
    return [field.name for field in fields(record) if field.name != "traceback"]  # that may be long


def _check_leaves(value: Any) -> None:
    """What a record, a mapping or a list holds, however deep; a large run has millions of numbers."""
    kind = type(value)
    if kind is float:
        if not -MOST_VALUE <= value <= MOST_VALUE:
            raise Unsound("it has a number that is not finite, or beyond 1e300")
    elif kind is int:
        if not -MOST_COUNTED <= value <= MOST_COUNTED:
            raise Unsound("it has a whole number beyond 2^62")
    elif kind is str:
        if len(value) > LONGEST:
            raise Unsound(f"it has a text of {len(value):,} characters")
    elif kind in (list, tuple):
        for one in value:
            _check_leaves(one)
    elif kind is dict:
        for key, one in value.items():
            _check_leaves(key)
            _check_leaves(one)
    elif is_dataclass(value):
        for name in COUNTED.get(kind, ()):
            if (getattr(value, name) or 0) < 0:
                raise Unsound(f"it has fewer than 0 {name}")
        for field in _fields(kind):  # type: ignore[arg-type]
            _check_leaves(getattr(value, field))
