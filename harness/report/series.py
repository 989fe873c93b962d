"""Which rows of the tidy frame are replicates of one thing: a series is a method in one setting, over its seeds.

A setting shows in the label only where there are several of it; that of most is not repeated there. Runs that
differ in provenance are told apart by their name; runs that agree in it pool their seeds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from harness.records import judged_by
from harness.report.frame import PROVENANCE
from harness.report.numbers import separated

BASELINE = "random-init"  # the one plugin that a report knows by name: the untrained backbone that gains are taken over
ELSEWHERE = (
    "What was trained elsewhere saw data and had a budget that are unknown here, and labels perhaps: it is shown for "
    "scale, neither ranked nor tested."
)
_SETTINGS = ("backbone", "device", "precision", "budget", "train", "run")
_UNSAID = ("backbone", "device", "precision", "budget")  # where most have one value, only the others say theirs
_PER_CELL = ["method", "backbone", "source"]


@dataclass(frozen=True, kw_only=True)
class Series:
    """A row of the ranked tables, a colour in the figures."""

    index: int
    label: str
    method: str
    kind: str
    uses: str  # what it saw in training beside its examples: "labels"; empty: nothing
    backbone: str
    device: str
    precision: str
    budget: str
    train: str  # what the request set of the optimisation: "learning_rate=0.1"; empty: nothing
    run: str  # empty where runs are pooled

    @property
    def is_reference(self) -> bool:
        return self.kind == "reference"

    @property
    def is_pretrained(self) -> bool:
        """Was it trained elsewhere, on data and for a budget that are unknown here?"""
        return self.kind == "pretrained"

    @property
    def competes(self) -> bool:
        """Did it learn here, under the run's own conditions? Only what did is ranked and tested."""
        return not (self.is_reference or self.is_pretrained)

    @property
    def tags(self) -> tuple[str, ...]:
        """What a reader must know of it, beside its name."""
        kinds = (("trained elsewhere", self.is_pretrained), ("reference", self.is_reference))
        return tuple(filter(None, (*(tag for tag, applies in kinds if applies), self.uses)))

    @property
    def is_untrained(self) -> bool:
        """Was it left as it was initialised, by a budget of nothing?"""
        return self.budget.partition(" ")[0] == "0"

    @property
    def is_baseline(self) -> bool:
        return self.method == BASELINE


def differing_provenance(frame: pd.DataFrame) -> list[str]:
    """The provenance columns (without prefix) in which the runs of a frame differ, for one and the same cell or at all.

    A column is compared between cells that two runs share (same method, backbone, source), and as a whole where it has
    one value throughout each run, as versions and machines have.
    """
    if frame["run"].nunique() < 2:
        return []
    columns = ["params", *(column for column in frame.columns if column.startswith(PROVENANCE))]
    differing = [c for c in columns if _differs_by_cell(frame, c) or _differs_as_a_whole(frame, c)]
    return [column.removeprefix(PROVENANCE) for column in differing]


def _differs_by_cell(frame: pd.DataFrame, column: str) -> bool:
    values = frame.groupby([*_PER_CELL, "run"], sort=False)[column].agg(lambda group: "\n".join(sorted(set(group))))
    return bool((values.groupby(level=_PER_CELL).nunique() > 1).any())


def _differs_as_a_whole(frame: pd.DataFrame, column: str) -> bool:
    by_run = frame.groupby("run")
    constant = (by_run[column].nunique() == 1) & (by_run["method"].nunique() > 1)
    return column != "params" and bool(constant.all()) and frame[column].nunique() > 1


def with_series(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Series]]:
    """The frame with a column `series` (the index of a Series), and the series in order: methods, then references.

    What one evaluation gave from fewer labels is another evaluation there, and is called so.
    """
    judges = map(judged_by, frame["evaluation"], frame["labels"])
    frame = frame.assign(evaluation=pd.Series(list(judges), index=frame.index, dtype=object))
    runs_apart = bool(differing_provenance(frame))
    frame = frame.assign(run_shown=frame["run"] if runs_apart else "")
    keys = ["kind", "method", "uses", "backbone", "device", "precision", "budget", "train", "run_shown"]
    unique = frame[keys].drop_duplicates().reset_index(drop=True)
    order = unique["kind"].map({"model": 0, "pretext": 1, "pretrained": 2}).fillna(3)
    unique = unique.assign(order=order).sort_values(["order", *keys], ignore_index=True)[keys]
    trained = unique[~unique["budget"].str.startswith("0 ")]  # untrained ones say so: no other label needs its budget
    varying = [name for name in _SETTINGS if _varies(trained, "run_shown" if name == "run" else name)]
    usual = {name: usual_value(trained[name]) for name in _UNSAID}
    in_several = unique.groupby([key for key in keys if key != "precision"])["precision"].transform("nunique") > 1
    varying = [name for name in varying if name != "precision" or in_several.any()]
    series = [
        _series(index, dict(zip(keys, values, strict=True)), varying, usual)
        for index, values in enumerate(unique.itertuples(index=False, name=None))
    ]
    numbered = unique.assign(series=range(len(unique)))
    series = _with_short_paths(series)
    index = frame[keys].merge(numbered, on=keys, how="left")["series"]
    labels = index.map({one.index: one.label for one in series})
    frame = frame.drop(columns="run_shown").reset_index(drop=True)
    return frame.assign(series=index, label=labels), series


def labelled(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with what a report of it calls each row: a method in its setting, by whatever tells it apart."""
    return frame.assign(label=with_series(frame)[0]["label"].to_numpy()) if len(frame) else frame


def _varies(unique: pd.DataFrame, column: str) -> bool:
    """Are there several values? Nothing is a value only of `train`, where it means a method's own recipe."""
    values = unique[column] if column == "train" else unique.loc[unique[column] != "", column]
    return values.nunique() > 1


def usual_value(values: Iterable[str]) -> str:
    """That of more than half of the series, or nothing."""
    count = Counter(filter(None, values))
    value, times = max(count.items(), key=lambda item: item[1], default=("", 0))
    return value if 2 * times > count.total() else ""


def _series(index: int, values: dict, varying: Sequence[str], usual: Mapping[str, str]) -> Series:
    values["run"] = values.pop("run_shown")
    untrained = values["budget"][:2] == "0 "
    unsaid = {name for name, value in usual.items() if values[name] == value} | ({"budget"} if untrained else set())
    shown = [separated(values[name]) for name in varying if values[name] and name not in unsaid]
    label = " · ".join([values["method"], *shown, *(["untrained"] if untrained else [])])
    return Series(index=index, label=label, **values)


def _with_short_paths(series: list[Series]) -> list[Series]:
    """Labels with as much of the end of each path as tells them apart; the method keeps all of it."""
    distinct = len({one.label for one in series})
    for parts in range(1, 5):
        labels = [with_short_paths(one.label, parts) for one in series]
        if len(set(labels)) == distinct:
            return [replace(one, label=label) for one, label in zip(series, labels, strict=True)]
    return series


def with_short_paths(label: str, parts: int) -> str:
    """A label with the last `parts` names of each path.

    >>> with_short_paths("checkpoint[file=/home/me/runs/a.pt,size=32]", 2)
    'checkpoint[file=…/runs/a.pt,size=32]'
    """

    def shortened(match: re.Match[str]) -> str:
        names = match.group().split("/")
        return match.group() if len(names) <= parts + 1 else "/".join(["…", *names[-parts:]])

    return re.sub(r"(?<==)[^,\]'\"=]*/[^,\]'\"]*", shortened, label)


def untrained_selves(everything: Sequence[Series]) -> dict[int, Series]:
    """By the index of a trained series: the same method in the same setting with a budget of nothing, where it is."""
    untrained: dict[tuple[str, ...], Series] = {}
    for one in everything:
        if one.is_untrained:
            untrained.setdefault(_setting(one), one)
    trained = [(one.index, untrained.get(_setting(one))) for one in everything if not one.is_untrained]
    return {index: other for index, other in trained if other is not None}


def _setting(one: Series) -> tuple[str, ...]:
    return (one.method, one.backbone, one.device, one.precision, one.train, one.run)


def worth_a_row(everything: Sequence[Series]) -> list[Series]:
    """All but those untrained ones that only stand behind a trained one, to tell what training gave."""
    behind = {other.index for other in untrained_selves(everything).values()}
    return [one for one in everything if one.index not in behind]


def baselines_of(everything: Sequence[Series]) -> dict[int, Series]:
    """By the index of a series, the untrained backbone that it is measured against: the one of its own setting, if
    there is just one.
    """
    baselines = [other for other in everything if other.is_baseline]
    found = [(one.index, in_its_setting(one, baselines)) for one in everything]
    return {index: other for index, other in found if other is not None}


def in_its_setting(one: Series, others: Sequence[Series]) -> Series | None:
    """Of references to measure a series against, the one of its own setting, if there is just one.

    With `--precision auto` what trains nothing computes in fp32: it is the baseline of methods in bf16 too.
    """
    here = [other for other in others if (other.run, other.device) == (one.run, one.device)]
    candidates = [other for other in here if other.precision == one.precision] or here
    for field in ("backbone", "budget", "train"):
        same = [other for other in candidates if getattr(other, field) == getattr(one, field)]
        needed = field == "backbone" and one.backbone
        candidates = same if same or needed else candidates
    return candidates[0] if len(candidates) == 1 and candidates[0] != one else None


def latest(frame: pd.DataFrame) -> pd.DataFrame:
    """At most one value per series, seed and score: where runs repeat a cell, the one that finished last."""
    keys = ["series", "seed", "source", "target", "evaluation", "score"]
    told = frame[[*keys, "finished"]].reset_index(drop=True)
    kept = told.sort_values("finished", kind="stable").drop_duplicates(keys, keep="last").index.sort_values()
    return frame if len(kept) == len(frame) else frame.iloc[kept]
