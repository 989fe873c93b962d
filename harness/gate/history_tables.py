"""A history as a reader wants it: one table for each machine, in a terminal, as Markdown, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from math import isfinite

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from harness.gate.creep import COMMIT, LEVEL, Moved, Row
from harness.gate.history import Damaged, Machine
from harness.report.markup import escaped, table
from harness.report.numbers import number, signed

_BARS = "▁▂▃▄▅▆▇█"
WIDEST = 24  # gates that a sparkline draws: the last ones
_HEADINGS = ("row", "gates", "first → last", "change", "course", "moved")
MEANING = (
    f"change: of all gates together, with its {100 * LEVEL:g} % interval; moved: where it went further than noise does "
    "(in 5 % of rows in which nothing changed there is such a stretch), by how much and at which commits"
)


def sparkline(levels: Sequence[float]) -> str:
    """The course of the last values, from their least to their most.

    >>> sparkline([0.0, 0.0, 1.0, 2.0]), sparkline([3.0, 3.0])
    ('▁▁▄█', '▁▁')
    """
    shown = list(levels)[-WIDEST:]
    least, most = min(shown), max(shown)
    step = (most - least) / (len(_BARS) - 1)
    return "".join(_BARS[int((value - least) / step + 0.5 - 1e-9) if step else 0] for value in shown)


def said_of(one: Moved, row: Row) -> str:
    """`+4.1 % at 1a2b3c4d5`, or `+6.0 % over 6 gates, 1a2b3c4d5 to 5d4c3b2a1`."""
    where = f"at {one.first[:COMMIT]}" if one.gates == 1 else f"over {one.gates} gates, {_span(one)}"
    return f"{_change(one.change, row)} {where}{'' if one.worse or row.direction == 'none' else ' (better)'}"


def drift_of(row: Row) -> str:
    """One line for a drift beyond the margin; "" where there is none."""
    if row.drift is None:
        return ""
    one, margin = row.drift, row.links[-1].margin
    said = f"{_change(one.change, row)} [{_change(one.low, row)}, {_change(one.high, row)}]"
    limit = _change(row.said(margin or 0.0), row).lstrip("+")
    return f"drift beyond the margin since {one.since[:COMMIT]}: {said} over {one.gates} gates, margin {limit}"


def notes_of(rows: Iterable[Row], damaged: Iterable[Damaged]) -> list[str]:
    """What a reader must know beside the rows."""
    rows = list(rows)
    gaps, drafts = max((row.gaps for row in rows), default=0), max((row.left_out for row in rows), default=0)
    notes = [str(one) for one in damaged]
    if gaps:
        notes.append(f"the chain of commits has {gaps} gap{'s' * (gaps > 1)}: what came in between was not measured")
    if drafts:
        notes.append(f"{drafts} gate{'s' * (drafts > 1)} not counted: refused, or followed by another of the same base")
    return notes


class TerminalHistory:
    """Something for `rich.print`."""

    def __init__(self, rows: Sequence[Row], damaged: Sequence[Damaged] = ()) -> None:
        self.rows = rows
        self.damaged = damaged

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for machine, rows in by_machine(self.rows):
            yield Text(machine.name, style="bold")
            drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
            for heading in _HEADINGS:
                folds = heading in ("row", "moved")
                drawn.add_column(heading, justify="right" if heading == "gates" else "left", no_wrap=not folds)
            for row in rows:
                drawn.add_row(*map(Text, _cells(row)), style="" if row.drift is None else "red")
            yield drawn
            for row in rows:
                if row.drift is not None:
                    yield Text(f"✗ {row.name}: {drift_of(row)}", style="bold red")
            yield Text("")
        for note in (*notes_of(self.rows, self.damaged), MEANING):
            yield Text(note, style="dim")


def markdown(rows: Sequence[Row], damaged: Sequence[Damaged] = ()) -> str:
    """A table for each machine."""
    parts = []
    for machine, of_it in by_machine(rows):
        parts.append(f"### {escaped(machine.name)}")
        parts.append(table(_HEADINGS, [[*map(escaped, _cells(row))] for row in of_it]))
        drifts = [f"- ❌ {escaped(f'{row.name}: {drift_of(row)}')}" for row in of_it if row.drift]
        parts += ["\n".join(drifts)] if drifts else []
    if notes := notes_of(rows, damaged):
        parts.append("\n".join(f"- {escaped(note)}" for note in notes))
    return "\n\n".join([*parts, f"<sub>{escaped(MEANING)}</sub>"]) + "\n"


def as_json(rows: Sequence[Row], damaged: Sequence[Damaged] = ()) -> str:
    """Every row with its gates, what moved, and its drift."""
    said = {
        "drift": any(row.drift for row in rows),
        "notes": notes_of(rows, damaged),
        "damaged_lines": [asdict(one) for one in damaged],
        "rows": [_plain({**asdict(row), "levels": row.levels}) for row in rows],
    }
    return json.dumps(said, indent=1, ensure_ascii=False, default=str, allow_nan=False) + "\n"


def as_csv(rows: Sequence[Row]) -> str:
    """One line for each gate of each row; `level` is the changes added up (of exact rows, the value)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["machine", "row", "unit", "kind", "when", "base_commit", "commit", "base", "candidate", "change", "level"]
    )
    for row in rows:
        for link, level in zip(row.links, row.levels[1:], strict=True):
            known = [row.machine.name, row.name, row.unit, row.kind, link.when.isoformat(), link.base, link.commit]
            writer.writerow([*known, link.old, link.new, row.said(link.change), level])
    return out.getvalue()


def by_machine(rows: Iterable[Row]) -> list[tuple[Machine, list[Row]]]:
    found: dict[Machine, list[Row]] = {}
    for row in rows:
        found.setdefault(row.machine, []).append(row)
    return list(found.items())


def _cells(row: Row) -> tuple[str, ...]:
    first, last = (number(each, row.unit) if isfinite(each) else "–" for each in (row.links[0].old, row.links[-1].new))
    change = _change(row.change, row)
    if row.low is not None and row.high is not None and row.low != row.high:
        change += f" [{_change(row.low, row)}, {_change(row.high, row)}]"
    moved = "; ".join(said_of(one, row) for one in row.moved)
    return row.name, str(len(row.links)), f"{first} → {last}", change, sparkline(row.levels), moved or "–"


def _change(value: float, row: Row) -> str:
    if row.kind == "paired-time":
        return f"{100 * value:+.1f} %".replace("-", "−")
    return signed(value, row.unit)


def _span(one: Moved) -> str:
    return f"{one.first[:COMMIT]} to {one.last[:COMMIT]}"


def _plain(value: object) -> object:
    """nan, which JSON does not have, as null."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value
