"""A comparison as GitHub Markdown: for a pull request, a step summary, a file."""

from __future__ import annotations

from collections.abc import Iterable

from harness.gate import wording
from harness.gate.findings import Comparison, Finding
from harness.report.markup import escaped, table

_MARKS = {"regression": "❌", "cannot compare": "🚫", "inconclusive": "❔", "pass": "✅"}
_HEADINGS = ("", "method", "data", "score", "base", "candidate", "change", "interval", "margin", "n", "verdict", "why")


def markdown(comparison: Comparison, *, everything: bool = False) -> str:
    """The sentence that says it all, the rows, what differs."""
    rows, folded = wording.shown(comparison, everything=everything)
    parts = [
        f"### {_MARKS[comparison.outcome]} {escaped(comparison.sentence)}",
        f"`{comparison.candidate}` against `{comparison.base}`",
    ]
    if rows:
        parts.append(table(_HEADINGS, _cells(comparison, rows)))
    if told := (*folded, *comparison.notes):
        parts.append("\n".join(f"- {escaped(line)}" for line in told))
    if comparison.differing:
        said = "\n".join(f"- {escaped(wording.differs(one))}" for one in comparison.differing)
        parts.append(f"<details><summary>What the two were made with differs</summary>\n\n{said}\n\n</details>")
    parts.append(f"<sub>{escaped(wording.meaning(comparison))}</sub>")
    return "\n\n".join(parts) + "\n"


def _cells(comparison: Comparison, rows: list[Finding]) -> Iterable[list[str]]:
    for line in wording.lines(rows, comparison):
        f = line.finding
        mark = _MARKS[f.outcome] if f.gated else ""
        says = f"{line.says}{'' if f.gated else ' (not gated)'}"
        texts = (line.method, f.place.data, line.score, line.base, line.candidate, line.change, line.interval)
        yield [mark, *map(escaped, (*texts, line.margin, line.n, says, line.why))]
