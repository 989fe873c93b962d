"""Rows of a frame as plain dictionaries: pandas is slow at many small selections, and slowest at rows one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

Record = Mapping[str, Any]  # a row of the tidy frame; None for nothing


def plain_rows(frame: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    """These columns, row by row.

    >>> plain_rows(pd.DataFrame({"a": [1, 2], "b": [0.5, float("nan")]}), ["b", "a"])
    [{'b': 0.5, 'a': 1}, {'b': None, 'a': 2}]
    """
    values = [frame[column].astype(object).where(frame[column].notna(), None).tolist() for column in columns]
    return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]


def grouped(rows: Sequence[Record], keys: Sequence[str]) -> dict[tuple[Any, ...], list[Record]]:
    """The rows by what they have under these keys, in order of appearance."""
    found: dict[tuple[Any, ...], list[Record]] = {}
    for row in rows:
        found.setdefault(tuple([row[key] for key in keys]), []).append(row)
    return found
