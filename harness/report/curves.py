"""Curves that evaluations made (harness.judging.drawn), over the seeds of a series: their mean, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from harness.metrics.statistics import mean_interval, within

Limits = tuple[float, float]
Content = Mapping[str, Any]
MARGIN = 0.05  # beyond the values, as a share of their range


def alike(seeds: Mapping[int, Content]) -> tuple[int, ...]:
    """The seeds whose curves have the x and the names of the first one's: those that a mean can be taken of."""
    first = next(iter(seeds.values()))
    return tuple(
        seed
        for seed, content in seeds.items()
        if content["x"] == first["x"] and list(content["lines"]) == list(first["lines"])
    )


def merged(seeds: Sequence[Content]) -> dict[str, Any]:
    """The mean over seeds of curves that are alike, and its 95 % interval; one seed keeps the intervals that it has."""
    first = dict(seeds[0])
    if len(seeds) == 1:
        return first
    points = {
        name: [_point(values, first["bounds"]) for values in zip(*(each["lines"][name] for each in seeds), strict=True)]
        for name in first["lines"]
    }
    levels = {
        name: [_point(values, None)[0] for values in zip(*(each["levels"][name] for each in seeds), strict=True)]
        for name in first["levels"]
        if all(name in each["levels"] for each in seeds)
    }
    means, low, high = ({name: [point[i] for point in part] for name, part in points.items()} for i in range(3))
    return {**first, "lines": means, "low": low, "high": high, "levels": levels}


def _point(values: Sequence[float | None], bounds: Limits | None) -> tuple[float | None, float | None, float | None]:
    """Mean, low and high of what one place has over seeds; a gap of some seed is one of the mean."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None, None, None
    found = within(mean_interval(known), *(bounds or (-inf, inf)))
    if found.low is None:  # all seeds gave the same number: it is that number
        return found.mean, found.mean, found.mean
    return found.mean, found.low, found.high


def limits_of(contents: Sequence[Content]) -> Limits | None:
    """The least and the largest value of all curves, so that panels beside each other compare; None without any."""
    parts = [part for each in contents for key in ("lines", "low", "high", "levels") for part in each[key].values()]
    values = [value for part in parts for value in part if value is not None]
    if not values:
        return None
    margin = MARGIN * (max(values) - min(values)) or MARGIN
    return min(values) - margin, max(values) + margin
