"""Changes of many gates, row by row: how far a score has gone since the first, and where it went.

Each gate compares a candidate with its own base on one machine, so its change is free of what the machine was on that
day; along a chain of commits the changes add up. Those of another machine are another series. Which gates count:

- one that passed (exit code 0), or whose candidate became the base of a later gate: it was merged all the same
- of several candidates of one base, those that became bases themselves; without such, the last: the others were drafts
- the same two commits measured again count once, as the mean of what was measured; the very same numbers are a copy

Times and rates add up as log ratios, all else in the score's own unit. Pure: records in, records out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from math import expm1, inf, isnan, log1p, nan, sqrt
from typing import Any

import numpy as np
from scipy import stats as distributions

from harness.gate.findings import Finding, Place
from harness.gate.history import Machine, Record
from harness.gate.sequential import TimeRule
from harness.metrics.change_points import Stretch, noise, stretches, until_now

LEVEL = 0.95  # of the interval of the whole change
SETTINGS = ("backbone", "device", "precision", "budget", "train")
COMMIT = 9  # characters that are shown and compared


@dataclass(frozen=True, kw_only=True)
class Link:
    """One row of one gate that counts. Changes are log ratios of what is a ratio."""

    when: datetime
    base: str  # commits
    commit: str
    change: float
    error: float  # standard error; 0: no noise; nan: not known
    old: float  # values, in the score's unit
    new: float
    margin: float | None  # as change


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A stretch of gates over which a score went further than noise does. Changes as a reader wants them."""

    since: str  # base of its first gate: the last commit before
    first: str  # candidates of its first and last gate
    last: str
    gates: int
    change: float  # parts of the base (0.05 is 5 %) of what is a ratio, else in the score's unit
    low: float  # simultaneous intervals: of all stretches
    high: float
    p: float
    worse: bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of one machine, over all of its gates."""

    name: str  # `vae on digits: step time`, with the settings that are not the same for all rows
    machine: Machine
    place: Place
    score: str
    unit: str
    direction: str
    kind: str
    links: tuple[Link, ...]
    left_out: int  # gates of it that do not count
    gaps: int  # links whose base is not the candidate before: what came between was not measured
    change: float  # from the first base to the last candidate
    low: float | None  # None: noise that is not known
    high: float | None
    moved: tuple[Moved, ...]  # in their order
    drift: Moved | None  # up to now, beyond the margin, and not noise

    def said(self, change: float) -> float:
        """A link's change as a reader wants it: a part of the base (0.05 is 5 %) of what is a ratio."""
        return _said(change, self.kind)

    @property
    def levels(self) -> list[float]:
        """For a drawing: of exact rows the values, else the changes added up, as parts or in the unit."""
        if self.kind == "exact":
            return [self.links[0].old, *(link.new for link in self.links)]
        sums = np.cumsum([0.0, *(link.change for link in self.links)]).tolist()
        return [_said(each, self.kind) for each in sums]


def rows(records: Iterable[Record], *, since: str = "", alarm: float = 0.05) -> list[Row]:
    """Every row of every machine, machines as they first come.

    since: gates before the one with this commit as candidate are left out, and it itself: a drift up to there was
    accepted. alarm: the chance that a row in which nothing changed has a stretch that moved; and as much for a drift.
    """
    ordered = sorted(records, key=lambda record: record.when)
    found: dict[tuple[Any, ...], list[tuple[Record, Mapping[str, Any]]]] = {}
    machines = list(dict.fromkeys(record.machine for record in ordered))
    for record in ordered:
        for row in record.rows:
            if row["state"] == "compared" and row["change"] is not None:
                key = (machines.index(record.machine), Place(**row["place"]), row["score"], row["kind"])
                found.setdefault(key, []).append((record, row))
    made = (_row(gates, since, alarm) for _, gates in sorted(found.items(), key=lambda each: each[0][0]))
    return _named([row for row in made if row is not None])


def _named(rows: Sequence[Row]) -> list[Row]:
    """With those of their settings in the name that tell them apart."""
    varying = [key for key in SETTINGS if len({getattr(row.place, key) for row in rows}) > 1]
    said = [" · ".join(filter(None, (getattr(row.place, key) for key in varying))) for row in rows]
    return [
        replace(row, name=f"{row.name} ({more})" if more else row.name) for row, more in zip(rows, said, strict=True)
    ]


def same(one: str, other: str) -> bool:
    """Are two names of commits the same one, where either may be shortened?

    >>> same("1a2b3c4d5", "1a2b3c4d5e6f"), same("1a2b3c4d5", "1a2b3c4d5-dirty"), same("", "")
    (True, False, False)
    """
    shared = min(len(one), len(other))
    if one == other or shared < 7 or one.endswith("-dirty") != other.endswith("-dirty"):
        return one == other != ""
    return one[:shared] == other[:shared]


# One row. -------------------------------------------------------------------------------------------------------------


def _row(gates: Sequence[tuple[Record, Mapping[str, Any]]], since: str, alarm: float) -> Row | None:
    counted, left_out = _counted(gates)
    if since:
        at = next((i for i, link in enumerate(counted) if same(link.commit, since)), -1)
        counted = counted[at + 1 :]
    if not counted:
        return None
    record, last = gates[-1]
    kind, direction = last["kind"], last["direction"]
    x, errors = [link.change for link in counted], noise([link.change for link in counted], [c.error for c in counted])
    total, spread = sum(x), sqrt(float((errors**2).sum()))
    reach = float(distributions.norm.ppf(0.5 + LEVEL / 2)) * spread
    known = not np.isnan(errors).any()
    moved = [_moved(one, counted, kind, direction) for one in (stretches(x, errors, alarm=alarm) if known else ())]
    return Row(
        name=Finding(place=Place(**last["place"]), score=last["score"]).name,
        machine=record.machine,
        place=Place(**last["place"]),
        score=last["score"],
        unit=last["unit"],
        direction=direction,
        kind=kind,
        links=tuple(counted),
        left_out=left_out,
        gaps=sum(not same(one.commit, other.base) for one, other in pairwise(counted)),
        change=_said(total, kind),
        low=_said(total - reach, kind) if known else None,
        high=_said(total + reach, kind) if known else None,
        moved=tuple(moved),
        drift=_drift(until_now(x, errors, alarm=2 * alarm), counted, kind, direction) if known else None,
    )


def _counted(gates: Sequence[tuple[Record, Mapping[str, Any]]]) -> tuple[list[Link], int]:
    """Links that count, in the order of time, and how many gates do not."""
    bases = [record.base for record, _ in gates]
    merged = [any(same(record.commit, base) for base in bases) for record, _ in gates]
    kept: list[tuple[Record, Mapping[str, Any]]] = []
    for at, (record, row) in enumerate(gates):
        rivals = [i for i, (other, _) in enumerate(gates) if same(other.base, record.base)]
        accepted = [i for i in rivals if gates[i][0].exit_code == 0]
        of_them = [i for i in rivals if merged[i]] or [
            i for i in accepted if same(gates[i][0].commit, gates[accepted[-1]][0].commit)
        ]
        if at in (of_them if rivals else [at] * (record.exit_code == 0)):
            kept.append((record, row))
    groups: list[list[tuple[Record, Mapping[str, Any]]]] = []
    for record, row in kept:
        alike = (g for g in groups if same(g[0][0].commit, record.commit) and same(g[0][0].base, record.base))
        group = next(alike, None)
        if group is None:
            groups.append([(record, row)])
        else:
            group.append((record, row))
    return [_mean(group) for group in groups], len(gates) - len(kept)


def _mean(group: Sequence[tuple[Record, Mapping[str, Any]]]) -> Link:
    """One link of all measurements of two commits."""
    links = {(link.change, link.error): link for link in (_link(record, row) for record, row in group)}
    each = list(links.values())
    errors = [link.error for link in each]
    together = nan if any(map(isnan, errors)) else sqrt(sum(error**2 for error in errors)) / len(errors)
    return replace(
        each[-1],
        change=sum(link.change for link in each) / len(each),
        error=together,
        old=sum(link.old for link in each) / len(each),
        new=sum(link.new for link in each) / len(each),
    )


def _link(record: Record, row: Mapping[str, Any]) -> Link:
    kind = row["kind"]
    return Link(
        when=record.when,
        base=record.base,
        commit=record.commit,
        change=_added(row["change"], kind),
        error=_error(record, row),
        old=nan if row["base"] is None else row["base"],
        new=nan if row["candidate"] is None else row["candidate"],
        margin=None if row["margin"] is None else _added(row["margin"], kind),
    )


def _error(record: Record, row: Mapping[str, Any]) -> float:
    """The standard error, of the interval; nan where there is none, or none that can be believed."""
    low, high = row["low"], row["high"]
    if row["kind"] == "exact":
        return 0.0
    if low is None or high is None or (low == high and row["change"]):
        return nan
    return (_added(high, row["kind"]) - _added(low, row["kind"])) / (2 * _reach(record, row))


def _reach(record: Record, row: Mapping[str, Any]) -> float:
    """Standard errors from the middle of the interval to its end. Each look at a time has a level of its own."""
    tail = (1 - record.level) / 2
    if row["kind"] == "paired-time" and row["place"]["evaluation"] in ("step", "encoding") and row["seeds"]:
        tail = TimeRule(wrong_pass=tail).levels(min(row["seeds"], TimeRule().most))[1]
    return float(distributions.norm.isf(tail))


def _drift(windows: Sequence[Stretch], links: Sequence[Link], kind: str, direction: str) -> Moved | None:
    """The clearest stretch up to now that is worse, if it is beyond the margin and its interval excludes 0.

    The clearest, and not any: of many stretches one is always beyond by luck. A margin of 0 has no drift below it: each
    change of it was a regression of its own gate.
    """
    margin = links[-1].margin
    clear = [one for one in windows if one.low > 0 or one.high < 0]
    worse = [one for one in clear if _is_worse(one, direction)]
    if not worse or not margin:
        return None
    clearest = max(worse, key=_clearness)
    return _moved(clearest, links, kind, direction) if abs(clearest.total) > margin else None


def _clearness(one: Stretch) -> tuple[float, float]:
    width = one.high - one.low
    return abs(one.total) / width if width else inf, abs(one.total)


def _is_worse(one: Stretch, direction: str) -> bool:
    return direction == "same" or (one.total > 0) == (direction == "lower")


def _moved(one: Stretch, links: Sequence[Link], kind: str, direction: str) -> Moved:
    return Moved(
        since=links[one.first].base,
        first=links[one.first].commit,
        last=links[one.last].commit,
        gates=one.length,
        change=_said(one.total, kind),
        low=_said(one.low, kind),
        high=_said(one.high, kind),
        p=one.p,
        worse=_is_worse(one, direction),
    )


def _added(value: float, kind: str) -> float:
    """In what adds up: the log ratio of a part of the base."""
    return log1p(value) if kind == "paired-time" else float(value)


def _said(value: float, kind: str) -> float:
    return expm1(value) if kind == "paired-time" else value
