"""The ranked comparison in a terminal: as many scores as fit beside each other, or all in blocks below each other.

At most 160 columns wide, plain where there is no terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

from harness.records import CellResult
from harness.report.digits import Digits
from harness.report.entries import Entry
from harness.report.frame import tidy_frame
from harness.report.numbers import plain, plus_minus, signed
from harness.report.reading import answers, reading
from harness.report.series import BASELINE, with_series
from harness.report.summary import NOWHERE, Comparison, Row, comparisons

WIDEST = 160  # columns of a table
PROSE = 100  # of sentences, which are hard to read when they are longer
_GAP = 2  # between columns
_Column = tuple[str, Sequence[Text]]  # its title, of several lines, and its cells


def terminal_table(
    results: Iterable[CellResult], folder: Path | None = None, *, everything: bool = False
) -> TerminalTable:
    """Something for `rich.print`: a table and a sentence for every source and target. folder: of the run.

    everything: every score, in as many blocks as the width asks for, rather than those that fit beside each other.
    """
    frame, series = with_series(tidy_frame(results))
    return TerminalTable(comparisons(frame, series, {"": folder} if folder else NOWHERE), everything=everything)


class TerminalTable:
    """Decides what fits when it is drawn, since only then the width is known."""

    def __init__(self, compared: Sequence[Comparison], *, everything: bool = False) -> None:
        self.compared = compared
        self.everything = everything

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widest = min(options.max_width, WIDEST)
        width = min(widest, PROSE)
        for comparison in self.compared:
            names = ("", [_method(row) for row in comparison.rows])
            candidates = list(_candidates(comparison))
            blocks, left_out = (
                _blocks(names, candidates, widest) if self.everything else _main(names, candidates, widest)
            )
            yield Text(f"\n{comparison.title}", style="bold")
            for number, block in enumerate(blocks):
                yield from [Text()] if number else []
                yield _drawn(names, block, widest)
            if left_out:
                yield Constrain(
                    Text(f"also in the report, and here with --table all: {', '.join(left_out)}", style="dim"), width
                )
            yield Constrain(Text(_legend(comparison), style="dim"), width)
            if comparison.looks:
                yield Constrain(Text(comparison.looks.text, style="dim"), width)
            if comparison.leading_part:
                yield Constrain(Text(comparison.leading_part, style="dim"), width)
            for sentence in (reading(comparison), *answers(comparison)):
                yield Constrain(Text(plain(sentence)), width)


def _legend(comparison: Comparison) -> str:
    """What the signs mean, of those that are there."""
    parts = [f"mean ± half its 95 % interval over {comparison.interval_over}"]
    if comparison.marks:
        signs = "* best, - worse than the leader, unmarked not told apart"
        parts.append(f"among all that see {comparison.seen}: {signs}")
    leading = comparison.leading
    digits = comparison.gain_digits
    gains = [] if leading is None else [row.entries[leading].says(digits[leading]) for row in comparison.rows]
    briefs = [plain(says.brief) for says in gains if says]
    if any(brief.startswith("none ≥") for brief in briefs):
        parts.append("none ≥ x: no difference found, and x would have been")
    if any(brief.startswith("~") for brief in briefs):
        parts.append("~n seeds: cannot tell, about n would")
    return "; ".join(parts)


def _main(
    names: _Column, candidates: Iterable[tuple[_Column, str]], width: int
) -> tuple[list[list[_Column]], list[str]]:
    """One block of ranked scores with the gain after the leading one, then the others, while there is room; the names
    of what is left out.
    """
    block, left_out = [], []
    room = width - _width(names) - _GAP
    for column, name in candidates:
        if _width(column) + _GAP <= room:
            room -= _width(column) + _GAP
            block.append(column)
        else:
            left_out.append(name)
    return [block], left_out


def _blocks(
    names: _Column, candidates: Iterable[tuple[_Column, str]], width: int
) -> tuple[list[list[_Column]], list[str]]:
    """All columns in their order, in as few blocks as they fit in beside the names; nothing is left out."""
    blocks: list[list[_Column]] = [[]]
    room = whole = width - min(_width(names), width // 2) - _GAP
    for column, _ in candidates:
        if blocks[-1] and _width(column) + _GAP > room:
            blocks.append([])
            room = whole
        room -= _width(column) + _GAP
        blocks[-1].append(column)
    return blocks, []


def _drawn(names: _Column, block: Sequence[_Column], width: int) -> Table:
    """Names that leave no room for the scores take several lines; so does a score that no line has room for."""
    taken = sum(_width(column) + _GAP for column in block)
    drawn = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    drawn.add_column(Text(names[0]), overflow="fold", max_width=max(width - taken - _GAP, 1) if block else None)
    for title, _ in block:
        drawn.add_column(
            Text(title), justify="right", no_wrap=taken + _GAP < width, overflow="fold", header_style="bold"
        )
    for line in zip(names[1], *(cells for _, cells in block), strict=True):
        drawn.add_row(*line)
    return drawn


def _candidates(comparison: Comparison) -> Iterable[tuple[_Column, str]]:
    for index, column in enumerate(comparison.columns):
        entries = [row.entries[index] for row in comparison.rows]
        if not any(entry.estimate for entry in entries):
            continue
        title = f"{column.called or column.evaluation}\n{column.score.replace('_', ' ')}{_arrow(column.better)}"
        yield (title, [_score(entry, comparison.digits[index]) for entry in entries]), column.name
        if index == comparison.leading and any(entry.gain for entry in entries):
            gains = [_gain(entry, comparison.gain_digits[index]) for entry in entries]
            yield (f"gain over\n{BASELINE}", gains), f"gain over {BASELINE}"


def _arrow(better: str) -> str:
    return {"higher": " ↑", "lower": " ↓"}.get(better, "")


def _method(row: Row) -> Text:
    tags = [{"reference": "ref", "trained elsewhere": "elsewhere"}.get(tag, tag) for tag in row.series.tags]
    text = Text(row.series.label, style="bold" if row.series.competes else "italic")
    return text.append(f" ({', '.join(tags)})" if tags else "", style="dim not bold")


def _score(entry: Entry, digits: Digits) -> Text:
    if entry.estimate is None:
        return Text("failed" if entry.status == "failed" else "-", style="dim")
    value = plain(plus_minus(entry.estimate, digits))
    mark = {"best": " *", "worse": " -"}.get(entry.mark, "  ")
    return Text(value + mark, style="bold" if entry.mark == "best" else "")


def _gain(entry: Entry, digits: Digits) -> Text:
    if entry.gain is None:
        return Text("")
    says = entry.says(digits)
    return Text(plain(" ".join(filter(None, (signed(entry.gain.effect, digits), f"({says.brief})" if says else "")))))


def _width(column: _Column) -> int:
    title, cells = column
    return max([*(cell_len(line) for line in title.split("\n")), *(cell.cell_len for cell in cells)])
