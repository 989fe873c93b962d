"""A comparison as GitHub Markdown: for a pull request, a step summary, a file."""

from __future__ import annotations

from collections.abc import Iterable

from harness.gate import wording
from harness.gate.findings import Comparison, Finding
from harness.report.markup import escaped, table

_MARKS = {"regression": "❌", "cannot compare": "🚫", "inconclusive": "❔", "pass": "✅"}
_HEADINGS = ("", "method", "data", "score", "base", "candidate", "change", "interval", "margin", "n", "verdict", "why")


def markdown(comparison: Comparison, *, everything: bool = False, most: int | None = None) -> str:
    """The sentence that says it all, the rows (the first `most` of them), what differs."""
    rows, folded = wording.shown(comparison, everything=everything)
    parts = [headline(comparison), f"{_code(comparison.candidate)} against {_code(comparison.base)}"]
    if most is not None and len(rows) > most:
        folded = [f"left out for their number: {len(rows) - most} more rows, which the other files have", *folded]
        rows = rows[:most]
    if rows:
        parts.append(table(_HEADINGS, _cells(comparison, rows)))
    if told := (*folded, *comparison.notes):
        parts.append("\n".join(f"- {escaped(line)}" for line in told))
    if comparison.differing:
        said = "\n".join(f"- {escaped(wording.differs(one))}" for one in comparison.differing)
        parts.append(f"<details><summary>What the two were made with differs</summary>\n\n{said}\n\n</details>")
    parts.append(f"<sub>{escaped(wording.meaning(comparison))}</sub>")
    return "\n\n".join(parts) + "\n"


def headline(comparison: Comparison) -> str:
    """A heading with the outcome in one sentence."""
    return f"### {_MARKS[comparison.outcome]} {escaped(comparison.sentence)}"


def _code(name: str) -> str:
    """A name as code. A backtick would end it, and is no part of what CI calls a version."""
    return f"`{' '.join(name.split()).replace('`', chr(39))}`"


def _cells(comparison: Comparison, rows: list[Finding]) -> Iterable[list[str]]:
    for line in wording.lines(rows, comparison):
        f = line.finding
        mark = _MARKS[f.outcome] if f.gated else ""
        says = f"{line.says}{'' if f.gated else ' (not gated)'}"
        texts = (line.method, f.place.data, line.score, line.base, line.candidate, line.change, line.interval)
        yield [mark, *map(escaped, (*texts, line.margin, line.n, says, line.why))]
