"""`--table`: how much of the ranked comparison the terminal shows."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.errors import RequestError, did_you_mean

TABLES = ("main", "all", "none")


def _completed(incomplete: str) -> list[str]:
    return [name for name in TABLES if name.startswith(incomplete)]


Shown = Annotated[
    str,
    typer.Option(
        "--table",
        metavar="main|all|none",
        autocompletion=_completed,
        help="The ranked table that is printed: `main`, the scores that fit beside each other; `all`, every score, in "
        "blocks below each other; `none`.",
    ),
]


def checked_table(table: str) -> str:
    """Raises RequestError for what is no table."""
    if table not in TABLES:
        raise RequestError(f"--table {table}: {did_you_mean(table, TABLES)}")
    return table
