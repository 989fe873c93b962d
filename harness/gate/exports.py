"""A run for tools that know nothing of it: pytest-benchmark, github-action-benchmark, a spreadsheet, LaTeX.

The first two take smaller for better. So scores go out in cost form, their true values beside them:

    a time (s, ms)                     seconds
    a rate (images/s, ...)             seconds per image
    better where it is lower           as it is
    a fraction, better where higher    1 - value
    dB                                 10^(-value/10), a mean squared error
    anything else                      -value

A seed is a round: min, median and the rest are over seeds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from harness.errors import RequestError
from harness.gate import pairing
from harness.gate.findings import Finding, Place
from harness.gate.margins import default_margin
from harness.gate.pairing import Row
from harness.gate.sides import Side
from harness.report.frame import sheet_of

LAYOUT = "5.1.0"  # of pytest-benchmark, whose files have had this shape since 3.0


@dataclass(frozen=True)
class Exported:
    """One score over its seeds, in cost form."""

    place: Place
    score: str
    unit: str  # of the true values
    better: str
    form: str  # how the cost comes from the value: "1 - value"
    of_cost: str  # the unit of the cost
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    costs: tuple[float, ...]

    @property
    def judged(self) -> str:
        return Finding(place=self.place, score=self.score).judged

    @property
    def title(self) -> str:
        """Its one name among all: what was judged, and of whom, with every setting."""
        place = self.place
        settings = (place.backbone, place.device, place.precision, place.budget, place.train)
        return f"{place.data}/{self.judged}[{place.method}{''.join(f' {each}' for each in settings if each)}]"


def exported(side: Side) -> Iterator[Exported]:
    """Every score of a run that has a better direction, and is finite."""
    for unit in pairing.units(side):
        for score, by_seed in unit.scores.items():
            row = next(iter(by_seed.values()))
            margin = default_margin(row)
            better = margin.direction
            seeds = tuple(sorted(by_seed))
            values = tuple(float(by_seed[seed]["value"]) for seed in seeds)
            if better not in ("higher", "lower") or not all(map(isfinite, values)):
                continue
            form, of_cost, cost = cost_form(row, better)
            if form.startswith("1 /") and 0 in values:
                continue
            costs = tuple(cost(value) for value in values)
            yield Exported(unit.place, score, row["unit"], better, form, of_cost, seeds, values, costs)


def cost_form(row: Row, better: str) -> tuple[str, str, Callable[[float], float]]:
    """How a score becomes something of which less is better: in words, its unit then, and the function.

    >>> form, unit, cost = cost_form({"unit": "images/s"}, "higher")
    >>> form, unit, cost(200.0)
    ('1 / value', 's/image', 0.005)
    """
    unit = str(row["unit"])
    if unit == "ms":
        return "value / 1000", "s", lambda value: value / 1000
    if unit.endswith("/s"):
        return "1 / value", f"s/{unit.removesuffix('/s').removesuffix('s')}", lambda value: 1 / value
    if better == "lower":
        return "value", unit, lambda value: value
    if unit == "fraction":
        return "1 - value", unit, lambda value: 1 - value
    if unit == "dB":
        return "10^(-value/10)", "squared error", lambda value: 10 ** (-value / 10)
    return "-value", unit, lambda value: -value


# pytest-benchmark. ----------------------------------------------------------------------------------------------------


def pytest_benchmark(side: Side) -> str:
    """A file that `pytest-benchmark compare` and `pytest --benchmark-compare` read."""
    rows = [_benchmark(one) for one in exported(side)]
    content = {**_origin(side), "benchmarks": rows, "version": LAYOUT}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _benchmark(one: Exported) -> dict[str, Any]:
    place = one.place
    return {
        "group": f"{place.data}: {one.judged} ({one.form if one.form != 'value' else one.of_cost})",
        "name": one.title.partition("/")[2],
        "fullname": f"harness/{one.title}",
        "params": {"method": place.method, "source": place.source, "target": place.target, "score": one.judged},
        "param": place.method,
        "extra_info": {
            "score": one.score,
            "evaluation": place.judge,
            "unit": one.unit,
            "better": one.better,
            "cost": one.form,
            "cost_unit": one.of_cost,
            "seeds": list(one.seeds),
            "values": list(one.values),
            "backbone": place.backbone,
            "device": place.device,
            "precision": place.precision,
            "budget": place.budget,
        },
        "options": {
            "disable_gc": False,
            "timer": "harness",
            "min_rounds": len(one.seeds),
            "max_time": 0.0,
            "min_time": 0.0,
            "warmup": False,
        },
        "stats": stats(one.costs),
    }


def stats(data: tuple[float, ...]) -> dict[str, Any]:
    """The numbers that pytest-benchmark keeps of a benchmark's rounds.

    >>> found = stats((1.0, 2.0, 3.0, 4.0))
    >>> found["median"], found["iqr"], found["outliers"], found["ops"]
    (2.5, 1.5, '2;0', 0.4)
    """
    values = np.asarray(data)
    mean, total = float(values.mean()), float(values.sum())
    sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    q1, median, q3 = (float(q) for q in np.percentile(values, (25, 50, 75)))
    iqr = q3 - q1
    low, high = q1 - 1.5 * iqr, q3 + 1.5 * iqr
    far = [int((np.abs(values - mean) > sd).sum()), int(((values < low) | (values > high)).sum())]
    return {
        "min": float(values.min()), "max": float(values.max()), "mean": mean, "stddev": sd, "rounds": len(values),
        "median": median, "iqr": iqr, "q1": q1, "q3": q3, "iqr_outliers": far[1], "stddev_outliers": far[0],
        "outliers": f"{far[0]};{far[1]}", "ld15iqr": float(values[values >= low].min()),
        "hd15iqr": float(values[values <= high].max()), "ops": len(values) / total if total else 0.0, "total": total,
        "data": list(data), "iterations": 1,
    }  # fmt: skip


def _origin(side: Side) -> dict[str, Any]:
    """Which machine, code and time a run is of, in pytest-benchmark's words."""
    provenance = pairing.provenance_of({str(key): value for key, value in side.frame.iloc[-1].items()})
    finished = max((text for text in side.frame["finished"] if text), default="")
    commit = provenance.get("git commit", "")
    name, cores = provenance.get("device name", ""), provenance.get("cores", "")
    return {
        "machine_info": {
            "node": "",
            "processor": name,
            "machine": provenance.get("keyed.device class", "").partition(" ")[2],
            "python_implementation": "CPython",
            "python_implementation_version": provenance.get("python", ""),
            "python_version": provenance.get("python", ""),
            "system": "",
            "release": "",
            "cpu": {"brand_raw": name, "count": int(cores) if cores.isdigit() else 0},
            "torch": provenance.get("keyed.torch", ""),
        },
        "commit_info": {
            "id": commit.removesuffix("-dirty"),
            "time": finished,
            "dirty": commit.endswith("-dirty"),
            "project": "harness",
            "branch": "(unknown)",
        },
        "datetime": finished,
    }


# Others. --------------------------------------------------------------------------------------------------------------


def github_action(side: Side) -> str:
    """The list that github-action-benchmark reads as `customSmallerIsBetter`."""
    return json.dumps([_custom(one) for one in exported(side)], indent=1, ensure_ascii=False) + "\n"


def _custom(one: Exported) -> Mapping[str, Any]:
    found = stats(one.costs)
    values = ", ".join(f"{value:g}" for value in one.values)
    return {
        "name": one.title,
        "unit": one.of_cost or "1",
        "value": found["mean"],
        "range": f"± {found['stddev']:.3g}",
        "extra": f"{one.judged}: {values} {one.unit} at seeds {', '.join(map(str, one.seeds))}; shown is {one.form}",
    }


def csv(side: Side) -> str:
    """The tidy frame, one row per score."""
    return sheet_of(side.frame).decode()


def latex(side: Side) -> str:
    """The ranked tables of the run's report. Raises RequestError where there is no score to put in one."""
    from harness.report.latex import latex as tables
    from harness.report.series import with_series
    from harness.report.summary import comparisons

    numbered, series = with_series(side.frame)
    text = tables(comparisons(numbered, series, side.examples.runs))
    if not text:
        raise RequestError(f"{side.name} holds no score to put in a table: its report says what failed, and why")
    return text


WRITERS: Mapping[str, Callable[[Side], str]] = {
    "pytest-benchmark": pytest_benchmark,
    "github-action": github_action,
    "csv": csv,
    "latex": latex,
}
