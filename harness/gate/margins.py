"""What counts as worse, score by score: sensible defaults, and a TOML file that changes them.

undecided = "fail"            # of the whole file: warn or fail; alarm = 0.05, wrong_pass = 0.05

[[margin]]
score = "accuracy"            # which rows: any of score, evaluation, method, source, target; later tables win
evaluation = "knn"
margin = 0.01                 # in the score's own unit, or "2%" of the base's value
kind = "paired-seed"          # exact | paired-seed | paired-time
gate = true                   # does it decide the exit code?
direction = "higher"          # higher | lower | same; by default what the score says of itself
reason = "why, for readers"
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any, get_args

from harness.errors import RequestError, UnknownName, did_you_mean
from harness.gate.findings import Direction, Kind, Policy
from harness.metrics.non_inferiority import Rule

TRAINING = "training"  # the evaluation that holds what training gave and cost
OWN_TASK = "pretext"  # the evaluation of a method by the task that it trains on
TIMED = ("step", "encoding")  # what both versions were timed at, interleaved
WHERE = ("score", "evaluation", "method", "source", "target")
WORDS = (*WHERE, "margin", "kind", "gate", "direction", "reason")
OF_FILE = ("margin", "alarm", "wrong_pass", "undecided")
# By unit. A score of a unit that is not here may lose this part of its base's value.
SIZES = {"fraction": 0.01, "difference of fractions": 0.01, "similarity": 0.01, "dB": 0.2, "flag": 0.0}
PART = 0.05
_COUNTS = {"FLOPs": "lower", "weights": "lower", "calls": "lower", "bytes": "lower"}  # known without noise
_PEAK = 0.01  # of a peak of bytes: the lifetime of one small tensor moves it
_AS_ASKED = ("steps", "images", "clips", "texts")  # what a budget gave: any change is one of the budget


@dataclass(frozen=True, kw_only=True)
class Margin:
    """How one row is judged."""

    size: float  # the loss that nobody would mind
    relative: bool = False  # of the base's value, and not in the score's unit
    kind: Kind = "paired-seed"
    gate: bool = False
    direction: Direction | str = "none"  # none: not judged
    reason: str = ""

    def of(self, base: float) -> float:
        """In the unit of the change: that of the score, or for times a part of the base."""
        return self.size * abs(base) if self.relative and self.kind != "paired-time" else self.size


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One [[margin]] table: what it concerns, and what it says."""

    where: Mapping[str, str]
    says: Mapping[str, Any]
    title: str  # "margins.toml, margin 2"

    def concerns(self, row: Mapping[str, Any]) -> bool:
        """Is a row of the tidy frame meant? `vae` means `vae[latent_dim=8]` too."""
        return all(value in (str(row[key]), bare(str(row[key]))) for key, value in self.where.items())


@dataclass(frozen=True, kw_only=True)
class Margins:
    """All that was declared; empty: the defaults alone."""

    entries: tuple[Entry, ...] = ()
    rule: Rule = field(default_factory=Rule)
    policy: Policy | None = None

    def of(self, row: Mapping[str, Any]) -> Margin:
        """The margin of a row of the tidy frame."""
        found = default_margin(row)
        for entry in self.entries:
            if entry.concerns(row):
                found = replace(found, **entry.says)
                if found.kind == "paired-time" and not found.relative:
                    raise RequestError(f"{entry.title}: the margin of a time is a part of it, such as '5%'")
        return found

    def check(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Raise UnknownName for a table that names something which is neither in these rows nor installed."""
        rows = list(rows)
        for entry in self.entries:
            for key, value in entry.where.items():
                known = {name for row in rows for name in (str(row[key]), bare(str(row[key]))) if name}
                if value not in known and value not in (known := known | _installed(key)):
                    raise UnknownName(f"{entry.title}: no {key} '{value}': {did_you_mean(value, known)}")


def bare(text: str) -> str:
    """A plugin's name without its parameters."""
    return text.partition("[")[0]


def default_margin(row: Mapping[str, Any]) -> Margin:
    """What the score itself suggests: a primary score that ranks is gated, counts are exact, times are told.

    How well a method solves its own task ranks no methods, but it does rank two versions of one: it is gated too.

    row: of the tidy frame.
    """
    unit, score, better = str(row["unit"]), str(row["score"]), str(row["better"])
    if row["evaluation"] == TRAINING:
        better = {"examples_per_second": "higher", "seconds": "lower"}.get(score, better)
    if unit == "s" and row["evaluation"] in TIMED:
        return Margin(size=PART, relative=True, kind="paired-time", gate=True, direction="lower")
    if unit in ("s", "ms") or unit.endswith("/s") or score == "share_of_peak":
        return Margin(size=PART, relative=True, kind="paired-time", direction=better)
    if score == "peak_bytes":
        return Margin(size=_PEAK, relative=True, kind="exact", gate=True, direction="lower")
    if unit in _COUNTS:
        return Margin(size=0.0, kind="exact", gate=True, direction=_COUNTS[unit])
    if unit in ("views", "digests"):
        return Margin(size=0.0, kind="exact", direction="lower" if unit == "views" else "same")
    if row["evaluation"] == TRAINING and unit in _AS_ASKED:
        return Margin(size=0.0, kind="exact", gate=not str(row["budget"]).endswith("flops"), direction="same")
    relative = unit not in SIZES
    ranks = row["role"] != "told" or row["evaluation"] == OWN_TASK
    gate = bool(row["primary"]) and ranks and better != "none"
    return Margin(size=SIZES.get(unit, PART), relative=relative, gate=gate, direction=better)


# The file. ------------------------------------------------------------------------------------------------------------


def read_margins(file: Path) -> Margins:
    """The content of a margins file. Raises RequestError, in one line, for whatever is wrong with it."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise RequestError(f"no margins file {file}: without --margins the defaults hold") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot read margins {file}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"margins {file} is no valid TOML: {error}") from None
    return parse_margins(content, file.name)


def parse_margins(content: Mapping[str, Any], title: str = "the margins") -> Margins:
    """Margins from the tables of a file.

    >>> found = parse_margins({"margin": [{"score": "accuracy", "margin": "2%"}]})
    >>> dict(found.entries[0].says)
    {'size': 0.02, 'relative': True}
    """
    for word in content:
        if word not in OF_FILE:
            raise UnknownName(f"{title} has no key '{word}': {did_you_mean(word, OF_FILE)}")
    tables = content.get("margin", [])
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise RequestError(f"{title}: write each margin as a table, [[margin]] and below it what it says")
    entries = tuple(_entry(table, f"{title}, margin {number}") for number, table in enumerate(tables, 1))
    chances = {word: content[word] for word in ("alarm", "wrong_pass") if word in content}
    policy = content.get("undecided")
    if policy is not None:
        policy = _one_of(get_args(Policy), policy, "undecided", title)
    try:
        return Margins(entries=entries, rule=Rule(**chances), policy=policy)
    except (TypeError, ValueError):
        raise RequestError(f"{title}: {' and '.join(chances)} must be chances above 0 and below 0.5") from None


def _entry(table: Mapping[str, Any], title: str) -> Entry:
    for word in table:
        if word not in WORDS:
            raise UnknownName(f"{title} has no key '{word}': {did_you_mean(word, WORDS)}")
    where = {key: table[key] for key in WHERE if key in table}
    if not where:
        raise RequestError(f"{title} names no row: give it a score, an evaluation, a method, a source or a target")
    if wrong := next((key for key in (*where, "reason") if not isinstance(table.get(key, ""), str)), None):
        raise RequestError(f"{title}: {wrong} is text, not {table[wrong]!r}")
    return Entry(where=where, says=_said(table, title), title=title)


def _said(table: Mapping[str, Any], title: str) -> dict[str, Any]:
    says: dict[str, Any] = {}
    if "margin" in table:
        says["size"], says["relative"] = _size(table["margin"], title)
    if "kind" in table:
        says["kind"] = _one_of(get_args(Kind), table["kind"], "kind", title)
    if "direction" in table:
        says["direction"] = _one_of(get_args(Direction), table["direction"], "direction", title)
    if "gate" in table:
        if not isinstance(table["gate"], bool):
            raise RequestError(f"{title}: gate is true or false, not {table['gate']!r}")
        says["gate"] = table["gate"]
    if "reason" in table:
        says["reason"] = table["reason"]
    return says


def _size(value: Any, title: str) -> tuple[float, bool]:
    percent = isinstance(value, str) and value.strip().endswith("%")
    try:
        if isinstance(value, bool) or (isinstance(value, str) and not percent):
            raise ValueError
        size = float(value.strip()[:-1]) / 100 if percent else float(value)
    except (TypeError, ValueError):
        raise RequestError(
            f"{title}: a margin is a number in the score's unit, or text such as '2%': not {value!r}"
        ) from None
    if not (isfinite(size) and size >= 0):
        raise RequestError(f"{title}: a margin is finite and not negative, not {value!r}")
    return size, percent


def _one_of(choices: tuple[str, ...], value: Any, key: str, title: str) -> Any:
    if value not in choices:
        raise RequestError(f"{title}: no {key} '{value}': {did_you_mean(str(value), choices)}")
    return value


def _installed(key: str) -> set[str]:
    """What is installed beside what the runs have: asked only where a name is not found in them, since it is slow."""
    from harness.registry import METHOD_KINDS, Registry

    registry = Registry()
    kinds = {"method": METHOD_KINDS, "source": ("dataset",), "target": ("dataset",)}.get(key, ("evaluation",))
    infos = [info for info in registry.infos() if info.kind in kinds]
    if key != "score":
        return {info.name for info in infos}
    found = set()
    for info in infos:
        try:
            found |= {score.name for score in registry.load(info.name, kinds).spec.scores}
        except RequestError:
            continue  # broken, or twice: its scores are known to nobody
    return found
