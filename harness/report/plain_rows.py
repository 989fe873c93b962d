"""Rows of a frame as tuples with names: pandas is slow at many small selections, and slowest at rows one by one."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import pandas as pd

Record = Any  # a row of the tidy frame, with a name for each column; None for nothing


def plain_rows(frame: pd.DataFrame, columns: Sequence[str]) -> list[Record]:
    """These columns, row by row.

    >>> plain_rows(pd.DataFrame({"a": [1, 2], "b": [0.5, float("nan")]}), ["b", "a"])
    [Record(b=0.5, a=1), Record(b=None, a=2)]
    """
    values = [frame[column].astype(object).where(frame[column].notna(), None).tolist() for column in columns]
    return list(map(namedtuple("Record", columns), *values))  # type: ignore[misc]


def grouped(rows: Sequence[Record], keys: Sequence[str]) -> dict[tuple[Any, ...], list[Record]]:
    """The rows by what they have in these columns, two or more, in order of appearance."""
    found: dict[tuple[Any, ...], list[Record]] = {}
    of = attrgetter(*keys)
    for row in rows:
        found.setdefault(of(row), []).append(row)
    return found
