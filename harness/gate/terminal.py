"""A comparison in a terminal: what counts first, as wide as the console, plain where there is no terminal."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

from harness.gate import wording
from harness.gate.findings import Comparison, Finding
from harness.gate.wording import Line

WIDEST = 140
_STYLES = {"regression": "bold red", "cannot compare": "magenta", "inconclusive": "yellow", "pass": ""}
_HEADINGS = ("", "score", "base", "candidate", "change", "margin", "n", "verdict", "why")


class TerminalComparison:
    """Something for `rich.print`."""

    def __init__(self, comparison: Comparison, *, everything: bool = False) -> None:
        self.comparison = comparison
        self.everything = everything

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found, width = self.comparison, min(options.max_width, WIDEST)
        rows, folded = wording.shown(found, everything=self.everything)
        yield Text(f"{found.candidate} against {found.base}", style="bold")
        for data in dict.fromkeys(row.place.data for row in rows):
            yield Text(f"\n{data}", style="bold")
            of = wording.lines([row for row in rows if row.place.data == data], found)
            yield Constrain(_table(of), width)
        yield Text("")
        for line in (*folded, *found.notes):
            yield Constrain(Text(line, style="dim"), width)
        for one in found.differing:
            yield Constrain(Text(f"differs in {wording.differs(one)}", style="dim"), width)
        yield Constrain(Text(wording.meaning(found), style="dim"), width)
        yield Constrain(Text(found.sentence, style=f"bold {_STYLES[found.outcome]}"), width)


def _table(lines: list[Line]) -> Table:
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, heading in enumerate(_HEADINGS):
        numeric = 2 <= index <= 6
        drawn.add_column(
            Text(heading), justify="right" if numeric else "left", no_wrap=numeric or index < 2, header_style="bold"
        )
    for line in lines:
        style = _style(line.finding)
        change = " ".join(filter(None, (line.change, line.interval)))
        cells = (line.method, line.score, line.base, line.candidate, change, line.margin, line.n, line.says, line.why)
        drawn.add_row(*(Text(cell, style=style if index >= 7 else "") for index, cell in enumerate(cells)))
    return drawn


def _style(finding: Finding) -> str:
    if not finding.gated:
        return "dim"
    return "green" if finding.verdict == "better" else _STYLES[finding.outcome]
