"""The parts of GitHub Markdown that a report is written with: text taken literally, tables, names of series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.cleaned import cleaned
from harness.report.series import Series


def escaped(text: str) -> str:
    """Text that Markdown and HTML take literally, in a table cell too.

    >>> escaped("<b> a|b *c* [d](e)\\nf")
    '&lt;b&gt; a\\\\|b \\\\*c\\\\* \\\\[d\\\\](e) f'
    """
    text = cleaned(text).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "|*_`[]":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split())


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is to the left and the others to the right."""
    lines = [header, [":--", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def named(one: Series) -> str:
    label = escaped(one.label)
    return f"*{label}* ({', '.join(one.tags)})" if one.tags else f"**{label}**"
