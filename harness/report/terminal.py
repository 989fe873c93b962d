"""The ranked comparison in a terminal: as many scores as fit, at most 160 columns, plain where there is no terminal."""

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


def terminal_table(results: Iterable[CellResult], folder: Path | None = None) -> TerminalTable:
    """Something for `rich.print`: a table and a sentence for every source and target. folder: of the run."""
    frame, series = with_series(tidy_frame(results))
    return TerminalTable(comparisons(frame, series, {"": folder} if folder else NOWHERE))


class TerminalTable:
    """Decides what fits when it is drawn, since only then the width is known."""

    def __init__(self, compared: Sequence[Comparison]) -> None:
        self.compared = compared

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widest = min(options.max_width, WIDEST)
        width = min(widest, PROSE)
        for comparison in self.compared:
            left_out, drawn = _table(comparison, widest)
            yield Text(f"\n{comparison.title}", style="bold")
            yield drawn
            if left_out:
                yield Constrain(Text(f"also in the report: {', '.join(left_out)}", style="dim"), width)
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


def _table(comparison: Comparison, width: int) -> tuple[list[str], Table]:
    """The method, then ranked scores with the gain after the leading one, then the others, while there is room."""
    columns = [("", [_method(row) for row in comparison.rows])]
    left_out = []
    room = width - _width(columns[0]) - _GAP
    for title, cells, name in _candidates(comparison):
        if _width((title, cells)) + _GAP <= room:
            room -= _width((title, cells)) + _GAP
            columns.append((title, cells))
        else:
            left_out.append(name)
    drawn = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for index, (title, _) in enumerate(columns):
        drawn.add_column(Text(title), justify="left" if index == 0 else "right", no_wrap=index > 0, header_style="bold")
    for line in zip(*(cells for _, cells in columns), strict=True):
        drawn.add_row(*line)
    return left_out, drawn


def _candidates(comparison: Comparison) -> Iterable[tuple[str, list[Text], str]]:
    for index, column in enumerate(comparison.columns):
        entries = [row.entries[index] for row in comparison.rows]
        if not any(entry.estimate for entry in entries):
            continue
        title = f"{column.called or column.evaluation}\n{column.score.replace('_', ' ')}{_arrow(column.better)}"
        yield title, [_score(entry, comparison.digits[index]) for entry in entries], column.name
        if index == comparison.leading and any(entry.gain for entry in entries):
            gains = [_gain(entry, comparison.gain_digits[index]) for entry in entries]
            yield f"gain over\n{BASELINE}", gains, f"gain over {BASELINE}"


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


def _width(column: tuple[str, Sequence[Text]]) -> int:
    title, cells = column
    return max([*(cell_len(line) for line in title.split("\n")), *(cell.cell_len for cell in cells)])
