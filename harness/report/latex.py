"""The ranked tables as LaTeX, for papers: a `table` for each source and target, with the numbers of the terminal.

Of packages only booktabs is needed. Scores that do not fit beside each other on a page stand below each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from textwrap import wrap

import pandas as pd

from harness.cleaned import one_line
from harness.report.entries import Column
from harness.report.numbers import number, plus_minus
from harness.report.pictures import slug
from harness.report.ranking import on_equal_terms
from harness.report.series import ELSEWHERE, Series
from harness.report.summary import PANEL, Comparison, Panel, Row

LINE = 78  # characters of a table's row: as wide as the text of an article, in the size of footnotes
HEAD = 15  # characters of a line of a head, which has as many lines as it takes
PREAMBLE = "% The preamble needs \\usepackage{booktabs}.\n"
BEYOND = "% Names have letters that pdfLaTeX does not know: use XeLaTeX or LuaLaTeX, with a font that has them.\n"
LATIN = "\u017f"  # the last letter that it knows without packages
_LITERAL = str.maketrans({
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "\u00a0": "~", "–": "--", "…": r"\dots{}", "±": r"$\pm$", "−": "$-$", "·": r"$\cdot$",
    "×": r"$\times$", "→": r"$\to$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "≤": r"$\leq$", "≥": r"$\geq$",
})  # fmt: skip


def latex(compared: Iterable[Comparison]) -> str:
    """One `table` for each comparison that has a number; empty where none has."""
    tables = [_table(comparison) for comparison in compared if comparison.columns]
    text = "\n".join(["", *tables])
    return PREAMBLE + (BEYOND if max(text) > LATIN else "") + text if tables else ""


def escaped(text: str) -> str:
    r"""A stranger's text as LaTeX takes it literally, at the beginning of a row too, where `[` and `*` would belong to
    the end of the row above.

    >>> print(escaped("50 % of a_b & {c}"), escaped("[x] -- y"))
    50 \% of a\_b \& \{c\} {}[x] -{}- y
    """
    found = one_line(text).replace("--", "-\0-").replace("--", "-\0-").translate(_LITERAL).replace("\0", "{}")
    return f"{{}}{found}" if found.startswith(("[", "*")) else found


def written(text: str) -> str:
    r"""A number as harness.report.numbers writes it.

    >>> print(written("−12.3\u00a0k\u00a0±\u00a00.012"))
    $-$12.3~k~$\pm$~0.012
    """
    return text.translate(_LITERAL)


def _table(comparison: Comparison) -> str:
    """As many scores beside each other as fit, the same number in each block."""
    for beside in range(PANEL, 0, -1):
        frames = [_frame(comparison, panel) for panel in comparison.panels(beside)]
        if max(map(_width, frames)) <= LINE:
            break
    blocks = "\n\\medskip\n\n".join(map(_tabular, frames))
    return (
        "\\begin{table}\n\\centering\n\\footnotesize\n\\setlength{\\tabcolsep}{3pt}\n"
        f"\\caption{{{_caption(comparison)}}}\n\\label{{tab:{slug(comparison.title)}}}\n"
        f"{blocks}\\end{{table}}\n"
    )


def _frame(comparison: Comparison, panel: Panel) -> pd.DataFrame:
    """Methods and some of the scores, in LaTeX: a level of the columns is a line of the head."""
    heads = [_head(comparison.columns[i]) for i in panel.columns]
    lines = [max(len(head[part]) for head in heads) for part in range(len(heads[0]))]
    best = [_best(comparison, i) for i in panel.columns]
    content = {tuple([""] * (sum(lines) - 1) + ["method"]): [_method(row.series) for row in panel.rows]}
    for head, i, first in zip(heads, panel.columns, best, strict=True):
        padded = [line for part, n in zip(head, lines, strict=True) for line in [*part, *[""] * (n - len(part))]]
        content[tuple(map(escaped, padded))] = [_entry(row, comparison, i, row in first) for row in panel.rows]
    return pd.DataFrame(content)


def _tabular(frame: pd.DataFrame) -> str:
    """pandas lays it out, and puts an evaluation once above the scores that it has beside each other."""
    layout = "l" + "r" * (len(frame.columns) - 1)
    return frame.style.hide(axis="index").to_latex(hrules=True, column_format=layout, multicol_align="c")


def _width(frame: pd.DataFrame) -> int:
    """Of its rows, about, in characters."""
    columns = [[*head, *frame.iloc[:, place]] for place, head in enumerate(frame.columns)]
    return sum(max(len(re.sub(r"\\[a-zA-Z]+|[\\{}$^]", "", cell)) for cell in column) + 1 for column in columns)


def _head(column: Column) -> tuple[list[str], ...]:
    """The evaluation, the score with its better direction, its unit: the lines of each."""
    arrow = {"higher": "\u00a0↑", "lower": "\u00a0↓"}.get(column.better, "")
    unit = ", ".join(filter(None, (column.unit, "" if column.ranked else "not ranked")))
    texts = (column.called or column.evaluation, column.score.replace("_", " ") + arrow, f"({unit})" if unit else "")
    return tuple(wrap(one_line(text), HEAD, break_long_words=False) for text in texts)


def _method(one: Series) -> str:
    tags = [{"reference": "ref", "trained elsewhere": "elsewhere"}.get(tag, tag) for tag in one.tags]
    return f"\\textit{{{escaped(one.label)}}} ({escaped(', '.join(tags))})" if tags else escaped(one.label)


def _entry(row: Row, comparison: Comparison, index: int, best: bool) -> str:
    entry = row.entries[index]
    if entry.estimate is None:
        return "failed" if entry.status == "failed" else "--"
    value = written(plus_minus(entry.estimate, comparison.digits[index]))
    seeds = len(entry.by_seed or {})
    parts = [f"\\textbf{{{value}}}" if best else value, "$^{*}$" if entry.mark == "best" else ""]
    return "".join(parts) + (f" ({seeds}/{entry.planned})" if seeds < entry.planned else "")


def _best(comparison: Comparison, index: int) -> list[Row]:
    """Of those on equal terms, the rows with the best mean as it is printed; none where there is nothing to rank."""
    column = comparison.columns[index]
    scored = [row for row in comparison.rows if row.entries[index].estimate and not row.series.is_pretrained]
    running = {one.index for one in on_equal_terms([row.series for row in scored])}
    means = [
        (row, entry.estimate.mean)
        for row in scored
        if row.series.index in running and (entry := row.entries[index]).estimate
    ]
    if not column.ranked or len(means) < 2:
        return []
    values = [mean for _, mean in means]
    digits = comparison.digits[index]
    first = number(max(values) if column.better == "higher" else min(values), digits)
    return [row for row, mean in means if number(mean, digits) == first]


def _caption(comparison: Comparison) -> str:
    """The data, and what the signs mean, of those that are there."""
    return " ".join(map(escaped, _sentences(comparison)))


def _sentences(comparison: Comparison) -> Iterator[str]:
    seeds = "1 seed" if comparison.seeds == 1 else f"{comparison.seeds} seeds"
    yield f"{comparison.title}: mean ± half its 95 % interval over {comparison.interval_over}; {seeds}."
    if any(_best(comparison, i) for i in range(len(comparison.columns))):
        yield f"Bold: the best of all that see {comparison.seen}."
    if any(entry.mark == "best" for row in comparison.rows for entry in row.entries):
        yield "Asterisk: told apart from all of these, p < 0.05 after correction."
    if any(0 < len(entry.by_seed or {}) < entry.planned for row in comparison.rows for entry in row.entries):
        yield "(k/n): of k of n seeds, the others failed."
    if comparison.looks:
        yield comparison.looks.text
    if comparison.leading_part:
        yield comparison.leading_part
    if any(row.series.is_pretrained for row in comparison.rows):
        yield ELSEWHERE
