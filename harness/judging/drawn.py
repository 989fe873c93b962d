"""Figures that evaluations keep as plain JSON, for the report to draw: curves and matrices.

    curve   {"x", "lines": {name: y}, "low": {name: y}, "high": {name: y}, "levels": {name: y},
             "x_label", "y_label", "x_names", "log_x", "y_range", "bounds"}
    matrix  {"values", "rows", "columns", "low", "high"}
A value that is not finite is null: a gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from torch import Tensor

DIGITS = 5  # significant ones that are kept


def curves(
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    *,
    low: Mapping[str, Sequence[float]],
    high: Mapping[str, Sequence[float]],
    levels: Mapping[str, float | Sequence[float]],
    x_label: str,
    y_label: str,
    x_names: Sequence[str],
    log_x: bool,
    y_range: tuple[float, float] | None,
    bounds: tuple[float, float] | None,
) -> dict[str, Any]:
    """See harness.judging.subject.Subject.show_curves."""
    quiet = {name: [value] * len(x) if isinstance(value, int | float) else value for name, value in levels.items()}
    for what, parts in (("line", lines), ("lower end", low), ("upper end", high), ("level", quiet)):
        for name, values in parts.items():
            assert len(values) == len(x), f"{what} '{name}' has {len(values)} values for {len(x)} places"
    assert low.keys() == high.keys() <= lines.keys(), "an interval has two ends, and belongs to a line"
    assert not x_names or len(x_names) == len(x), f"{len(x_names)} names for {len(x)} places"
    return {
        "x": _plain(x),
        "lines": {name: _plain(values) for name, values in lines.items()},
        "low": {name: _plain(values) for name, values in low.items()},
        "high": {name: _plain(values) for name, values in high.items()},
        "levels": {name: _plain(values) for name, values in quiet.items()},
        "x_label": x_label,
        "y_label": y_label,
        "x_names": list(x_names),
        "log_x": log_x,
        "y_range": None if y_range is None else list(y_range),
        "bounds": None if bounds is None else list(bounds),
    }


def matrix(values: Tensor, rows: Sequence[str], columns: Sequence[str], low: float, high: float) -> dict[str, Any]:
    """See harness.judging.subject.Subject.show_matrix."""
    assert values.shape == (len(rows), len(columns)), f"{tuple(values.shape)} values for {len(rows)} x {len(columns)}"
    return {
        "values": [_plain(row) for row in values.tolist()],
        "rows": list(rows),
        "columns": list(columns),
        "low": low,
        "high": high,
    }


def _plain(values: Sequence[float]) -> list[float | None]:
    return [float(f"{value:.{DIGITS}g}") if isfinite(value) else None for value in map(float, values)]
