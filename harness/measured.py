"""What an evaluation returned, checked where it comes: a value that is none fails that evaluation, and is not kept."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from numbers import Integral, Real
from typing import Any

from harness.cleaned import one_line
from harness.errors import TrainingFailed
from harness.plugin.specs import EvaluationSpec
from harness.records import Picture, Score, ScoreSpec, ScoreValue
from harness.sound import MOST_COUNTED, MOST_VALUE, is_outside, limits


def measured(spec: EvaluationSpec, values: Any) -> dict[str, ScoreValue]:
    """The scores of an evaluation by name. Raises TrainingFailed for what is unpromised, no number, or impossible."""
    if not isinstance(values, Mapping):
        raise TrainingFailed(f"it returned {_a(values)}, expected {{score: value}}")
    promised = {score.name: score for score in spec.scores}
    found = {}
    for name, value in values.items():
        if name not in promised:
            shown = one_line(str(name))[:80]
            raise TrainingFailed(f"evaluation '{spec.name}' returned a score '{shown}' that it does not declare")
        given = value if isinstance(value, ScoreValue) else ScoreValue(value=value)
        number = _number(name, given.value)
        _check_range(promised[name], number)
        found[name] = ScoreValue(
            value=number,
            n=None if given.n is None else _count(f"n of {name}", given.n),
            chance=None if given.chance is None else _number(f"chance of {name}", given.chance),
            note=text_of(f"note of {name}", given.note),
            outcomes=given.outcomes,
            rows=given.rows,
        )
    return found


def scores_of(spec: EvaluationSpec, values: Mapping[str, ScoreValue], n: int) -> tuple[Score, ...]:
    """The values of an evaluation, with the specification of each."""
    known = {score.name: score for score in spec.scores}
    return tuple(_score(known[name], value, n) for name, value in values.items())


def _score(score: ScoreSpec, value: ScoreValue, n: int) -> Score:
    return Score(
        score=score.name,
        value=value.value,
        unit=score.unit,
        better=score.better,
        primary=score.primary,
        chance=value.chance,
        n=n if value.n is None else value.n,
        note=value.note,
        role=score.role,
        beside=score.beside,
        word=score.word,
        asks=score.asks,
        low=score.low,
        high=score.high,
        proportion=score.proportion,
    )


def check_picture(picture: Picture) -> None:
    """Raises TrainingFailed unless all that stands by a picture is text, and all that places it is whole numbers."""
    for part in ("name", "caption", "heading"):
        text_of(f"{part} of picture '{one_line(str(picture.name))[:80]}'", getattr(picture, part))
    for part in ("texts", "row_names"):
        for text in getattr(picture, part):
            text_of(f"one of {part} of picture '{picture.name}'", text)
    for part in ("columns", "place"):
        value = getattr(picture, part)
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise TrainingFailed(f"the {part} of picture '{picture.name}' is {_a(value)}, expected a whole number")


def text_of(what: str, value: Any) -> str:
    """The text. Raises TrainingFailed for anything else, and for text that no file keeps."""
    if not isinstance(value, str):
        raise TrainingFailed(f"the {what} is {_a(value)}, expected text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise TrainingFailed(f"the {what} has characters that are none (half of a surrogate pair)") from None
    return str(value)


def _number(what: str, value: Any) -> float:
    """A finite real number: Python's, numpy's, or a tensor of one. Text and truth values are none."""
    plain = _item(value)
    if isinstance(plain, bool) or not isinstance(plain, Real):
        raise TrainingFailed(f"{what} is {_a(plain)}, expected a number")
    try:
        number = float(plain)
    except OverflowError:
        number = float("inf")
    if not isfinite(number) or abs(number) > MOST_VALUE:
        raise TrainingFailed(f"{what} is not a finite number")
    return number


def _count(what: str, value: Any) -> int:
    plain = _item(value)
    if isinstance(plain, bool) or not isinstance(plain, Integral) or not 0 <= int(plain) < MOST_COUNTED:
        shown = one_line(repr(plain))[:40] if isinstance(plain, Real) else _a(plain)
        raise TrainingFailed(f"{what} is {shown}, expected a whole number of examples")
    return int(plain)


def _item(value: Any) -> Any:
    """The one value of an array or a tensor without axes; anything else as it is."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def _check_range(score: ScoreSpec, value: float) -> None:
    if is_outside(value, *limits(score)):
        low, high = ("no limit" if limit is None else f"{limit:g}" for limit in limits(score))
        raise TrainingFailed(f"{score.name} is {value:g}, outside of what it declares: {low} to {high}")


def _a(value: Any) -> str:
    return "nothing" if value is None else f"a {one_line(type(value).__name__)[:40]}"
