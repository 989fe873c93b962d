"""Which rows of two runs are the same question, asked of two versions; and what forbids to compare the answers.

A unit is one evaluation of one method in one setting, over its seeds. Units of the two sides belong together where
method, backbone, source, target, evaluation and labels agree, and the setting (device, precision, budget, optimisation)
too. Of what is left, one unit on each side belongs together in spite of another setting, and is refused for it, unless
the setting is one that may differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.gate.findings import Place
from harness.gate.margins import TRAINING
from harness.gate.sides import Side
from harness.records import ALL_LABELS
from harness.report.frame import PROVENANCE

SETTINGS = ("device", "precision", "budget", "train")
_PLACE = ("method", "backbone", "source", "target", "evaluation", "labels")
_FEATURES = ("squared feature distance", "squared MMD")  # units of scores whose note begins with their extractor
Row = Mapping[str, Any]  # of the tidy frame; None for nothing


@dataclass
class Unit:
    """One evaluation of one method in one setting, over its seeds."""

    place: Place
    scores: dict[str, dict[int, Row]] = field(default_factory=dict)  # by score, then by seed
    troubles: dict[int, tuple[str, str]] = field(default_factory=dict)  # by seed: status and reason
    provenance: dict[str, str] = field(default_factory=dict)  # of its first row: what seeds have in common
    idle: bool = False  # did its cell train nothing, as references do? Its budget is then no matter

    @property
    def seeds(self) -> set[int]:
        return {seed for by_seed in self.scores.values() for seed in by_seed} | set(self.troubles)


@dataclass(frozen=True)
class Pair:
    """The same unit in both runs; None on a side that does not have it."""

    base: Unit | None
    candidate: Unit | None

    @property
    def place(self) -> Place:
        """As in the candidate, where it has one."""
        unit = self.candidate or self.base
        assert unit is not None
        return unit.place


def units(side: Side) -> list[Unit]:
    """All units of a run, in the order of its frame. Of a cell that was run twice, what finished last counts."""
    frame = side.frame.sort_values("finished", kind="stable").drop_duplicates(
        [*_PLACE, *SETTINGS, "seed", "score"], keep="last"
    )
    frame = frame.sort_index()
    found: dict[Place, Unit] = {}
    rows: Any = frame.astype(object).where(frame.notna(), None).to_dict("records")
    for row in rows:
        place = Place(**{key: row[key] for key in (*_PLACE, *SETTINGS)})
        if place.labels == ALL_LABELS:
            place = replace(place, labels="")  # as a frame says it that was written before there were parts
        unit = found.setdefault(place, Unit(place))
        unit.provenance = unit.provenance or provenance_of(row)
        if row["value"] is not None and row["score"]:
            unit.scores.setdefault(row["score"], {})[row["seed"]] = row
        elif row["status"] in ("failed", "skipped"):
            unit.troubles[row["seed"]] = (row["status"], row["reason"])
    idle = {cell_of(unit.place) for unit in found.values() if is_training(unit.place) and _took_no_step(unit)}
    for unit in found.values():
        unit.idle = cell_of(unit.place) in idle
    return list(found.values())


def _took_no_step(unit: Unit) -> bool:
    steps = unit.scores.get("steps", {})
    return bool(steps) and not any(row["value"] for row in steps.values())


def cell_of(place: Place) -> Place:
    """What a place has in common with all others of its cells."""
    return replace(place, evaluation="", target="", labels="")


def provenance_of(row: Row) -> dict[str, str]:
    """What a row was made with: parameters of the method, and everything that its cell recorded."""
    found = {key.removeprefix(PROVENANCE): value for key, value in row.items() if key.startswith(PROVENANCE)}
    return {"params": row["params"], **found}


def paired(base: Iterable[Unit], candidate: Iterable[Unit]) -> Iterator[Pair]:
    """Every unit of both sides, once: together with the other side's where that has it."""
    first, second = _by_question(base), _by_question(candidate)
    for question in dict.fromkeys([*second, *first]):
        yield from _matched(first.get(question, []), second.get(question, []))


def _by_question(several: Iterable[Unit]) -> dict[tuple[str, ...], list[Unit]]:
    found: dict[tuple[str, ...], list[Unit]] = {}
    for unit in several:
        found.setdefault(tuple(getattr(unit.place, key) for key in _PLACE), []).append(unit)
    return found


def _matched(base: list[Unit], candidate: list[Unit]) -> Iterator[Pair]:
    left = {unit.place: unit for unit in base}
    new = []
    for unit in candidate:
        old = left.pop(unit.place, None)
        if old is not None:
            yield Pair(old, unit)
        else:
            new.append(unit)
    if len(left) == len(new) == 1:
        yield Pair(*left.values(), *new)
        return
    yield from (Pair(None, unit) for unit in new)
    yield from (Pair(unit, None) for unit in left.values())


# What forbids a comparison. -------------------------------------------------------------------------------------------


def refusal(
    base: Unit, candidate: Unit, fingerprints: tuple[Mapping[str, str], Mapping[str, str]], across: Iterable[str]
) -> str:
    """Why these two cannot be compared at all; "" if they can. fingerprints: of each side's datasets, by label."""
    reasons = []
    for name in SETTINGS:
        one, other = (getattr(unit.place, name) for unit in (base, candidate))
        if name == "budget" and base.idle and candidate.idle:
            continue
        if one != other and name not in across:
            said = "settings of the optimisation" if name == "train" else name
            reasons.append(
                f"another {said}: {one or 'its own'} against {other or 'its own'} (--across {name} allows it)"
            )
    for data in dict.fromkeys((base.place.source, base.place.target)):
        known = [prints.get(data) for prints in fingerprints]
        if data and all(known) and known[0] != known[1]:
            reasons.append(f"{data} is not the same data: fingerprint {known[0]} against {known[1]}")
    return "; ".join(reasons)


def refusal_of_score(base: Mapping[int, Row], candidate: Mapping[int, Row], *, timed: bool = False) -> str:
    """Why the values of one score cannot be compared, seed by seed; "" if they can."""
    for seed in sorted(base.keys() & candidate.keys()):
        one, other = base[seed], candidate[seed]
        if (
            not timed and None not in (one["n"], other["n"]) and one["n"] != other["n"]
        ):  # of a time, n is of repetitions
            return f"measured on {one['n']} and on {other['n']} test examples"
        if one["unit"] != other["unit"]:
            return f"in {one['unit'] or 'no unit'} and in {other['unit'] or 'no unit'}"
        if one["unit"] in _FEATURES and _extractor(one) != _extractor(other):
            return f"by two extractors: {_extractor(one)} and {_extractor(other)}"
    return ""


def _extractor(row: Row) -> str:
    return str(row["note"]).partition(",")[0]


MACHINE = {
    "device name": "hardware",
    "cores": "number of cores",
    "threads": "number of threads",
    "keyed.torch": "torch",
    "keyed.device class": "kind of device",
}


def refusal_of_time(base: Unit, candidate: Unit) -> str:
    """Why times of these two say nothing of the code; "" if they may."""
    for key, said in MACHINE.items():
        one, other = (unit.provenance.get(key, "") for unit in (base, candidate))
        if one != other:
            return f"measured with another {said}: {one or 'unknown'} against {other or 'unknown'}"
    for name in ("device", "precision"):
        one, other = (getattr(unit.place, name) for unit in (base, candidate))
        if one != other:
            return f"measured with another {name}: {one} against {other}"
    return ""


def fingerprints_of(several: Iterable[Unit]) -> dict[str, str]:
    """The content of each dataset that something was trained on, by its label."""
    return {unit.place.source: unit.provenance.get("keyed.dataset", "") for unit in several}


def is_clocked(place: Place) -> bool:
    """Does the budget depend on the machine, so that what training was given is no question?"""
    return place.budget.endswith("seconds")


def is_training(place: Place) -> bool:
    return place.evaluation == TRAINING
