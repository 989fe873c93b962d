"""Scores along a setting: series that differ in one number alone are the points of a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.records import CellResult
from harness.report.frame import asked
from harness.report.series import Series

LEAST = 3  # points that make a line
_BELONGS = {"method": "method", "train": "method", "backbone": "backbone"}  # a recipe is a part of the method
_SPACED = str.maketrans("._", "  ")  # "backbone.width" is another setting than the method's "width"

Settings = Mapping[str, str]  # "method", "backbone.norm", "train.learning_rate", "budget.epochs", ...: as text


@dataclass(frozen=True, kw_only=True)
class Line:
    label: str  # in what it differs from the other lines; empty if it is alone
    points: tuple[tuple[float, int], ...]  # value of the setting, index of the series; ascending


@dataclass(frozen=True, kw_only=True)
class Sweep:
    setting: str  # "learning rate"
    lines: tuple[Line, ...]


def sweeps(cells: Iterable[tuple[Series, CellResult]]) -> list[Sweep]:
    """Every setting along which at least three series differ in nothing else, defaults counted."""
    settings: dict[int, Settings] = {}
    for one, result in cells:
        if not one.is_untrained and one.index not in settings:
            settings[one.index] = {"run": one.run, **_settings_of(result)}
    keys = dict.fromkeys(key for known in settings.values() for key in known if key != "run")
    return [sweep for key in keys if (sweep := _along(key, settings))]


def _settings_of(result: CellResult) -> dict[str, str]:
    """Everything that the training of a cell depends on but the seed: its identity has the defaults too."""
    found: dict[str, str] = {}
    for role in ("method", "backbone"):
        for ref in asked(result, role):
            found |= {role: ref.name, **{f"{role}.{key}": str(value) for key, value in ref.params.items()}}
    found |= {f"train.{key}": str(value) for key, value in result.identity.get("train", {}).items()}
    found |= {key: str(result.identity.get(key, "")) for key in ("device", "precision", "threads")}
    budget = result.cell.budget
    return found if budget is None else {**found, f"budget.{budget.unit}": str(budget.amount)}


def _along(key: str, settings: Mapping[int, Settings]) -> Sweep | None:
    found: dict[tuple[tuple[str, str], ...], dict[float, int]] = {}
    for index, known in settings.items():
        value = _number(known.get(key, ""))
        if value is not None:
            rest = tuple(sorted((name, text) for name, text in known.items() if name != key))
            found.setdefault(rest, {})[value] = index
    lines = {rest: points for rest, points in found.items() if len(points) >= LEAST}
    if not lines:
        return None
    labels = list(_labels([dict(rest) for rest in lines]))
    drawn = zip(labels, lines.values(), strict=True)
    return Sweep(
        setting=key.removeprefix("method.").removeprefix("train.").removeprefix("budget.").translate(_SPACED),
        lines=tuple(Line(label=label, points=tuple(sorted(points.items()))) for label, points in drawn),
    )


def _labels(lines: Sequence[Settings]) -> Iterator[str]:
    """In what each line differs from others of its method or backbone; that a method has its own recipe goes unsaid."""
    keys = dict.fromkeys(key for line in lines for key in line)
    telling = [key for key in keys if any(_differ(key, a, b) for a in lines for b in lines)]
    for line in lines:
        said = [(key, line[key]) for key in telling if key in line]
        yield ", ".join(text if key in _BELONGS else f"{key.rpartition('.')[2]}={text}" for key, text in said)


def _differ(key: str, a: Settings, b: Settings) -> bool:
    role, dot, _ = key.partition(".")
    owner = _BELONGS.get(role, "") if dot else ""
    return a.get(key) != b.get(key) and a.get(owner) == b.get(owner)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
