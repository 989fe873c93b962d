"""A comparison in a terminal: what counts first, as many columns as fit, plain where there is no terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.constrain import Constrain
from rich.padding import Padding
from rich.text import Text

from harness.gate import wording
from harness.gate.findings import Comparison, Finding
from harness.gate.wording import Line

WIDEST = 140
_STYLES = {"regression": "bold red", "cannot compare": "magenta", "inconclusive": "yellow", "pass": ""}
_MARKS = {"regression": "✗", "cannot compare": "!", "inconclusive": "?", "pass": "✓"}
_HEADINGS = ("", "", "score", "change", "base → candidate", "margin", "n")  # the last ones are left out first
_NEEDED = 4
_GAP = 2


class TerminalComparison:
    """Something for `rich.print`."""

    def __init__(self, comparison: Comparison, *, everything: bool = False) -> None:
        self.comparison = comparison
        self.everything = everything

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found, width = self.comparison, min(options.max_width, WIDEST)
        rows, folded = wording.shown(found, everything=self.everything)
        yield Text(f"{found.candidate} against {found.base}", style="bold")
        lines = wording.lines(rows, found)
        for data in dict.fromkeys(row.place.data for row in rows):
            yield Text(f"\n{data}", style="bold")
            for part in _table([line for line in lines if line.finding.place.data == data], width):
                yield Constrain(part, width)
        yield Text("")
        for text in (*folded, *found.notes, *(f"differs in {wording.differs(one)}" for one in found.differing)):
            yield Constrain(Text(text, style="dim"), width)
        yield Constrain(Text(f"{_legend(found)}; {wording.meaning(found)}", style="dim"), width)
        yield Constrain(Text(found.sentence, style=f"bold {_STYLES[found.outcome]}"), width)


def _legend(found: Comparison) -> str:
    worst = "fails" if found.policy == "fail" else "warns"
    return f"✓ passes, ✗ fails, ! cannot be compared, ? {worst}, no mark: not gated"


def _table(lines: Sequence[Line], width: int) -> Iterable[Text | Padding]:
    """Two lines for each row: the numbers in columns, and why."""
    cells = [_cells(line) for line in lines]
    widths = [max(map(cell_len, column)) for column in zip(_HEADINGS, *cells, strict=True)]
    shown = len(_HEADINGS)
    while shown > _NEEDED and sum(widths[:shown]) + _GAP * shown > width:
        shown -= 1
    yield Text(_joined(_HEADINGS[:shown], widths), style="bold", no_wrap=True)
    for line, texts in zip(lines, cells, strict=True):
        style = _style(line.finding)
        text = Text(_joined(texts[:shown], widths), style="" if line.finding.gated else "dim")
        text.stylize(style, 0, len(texts[0]))
        yield text
        if line.why:
            yield Padding(Text(line.why, style="dim"), (0, 0, 0, widths[0] + _GAP), expand=False)


def _cells(line: Line) -> tuple[str, ...]:
    f = line.finding
    word = f.state if f.state != "compared" else f.verdict
    both = " → ".join(text or "–" for text in (line.base, line.candidate))
    change = " ".join(filter(None, (line.change, line.interval)))
    mark = _MARKS[f.outcome] if f.gated else " "
    return f"{mark} {word}", line.method, line.score, change, both, line.margin and f"±{line.margin}", line.n


def _joined(texts: Sequence[str], widths: Sequence[int]) -> str:
    padded = (text + " " * (width - cell_len(text)) for text, width in zip(texts, widths, strict=False))
    return (" " * _GAP).join(padded).rstrip()


def _style(finding: Finding) -> str:
    if not finding.gated:
        return "dim"
    return "green" if finding.verdict == "better" else _STYLES[finding.outcome]
