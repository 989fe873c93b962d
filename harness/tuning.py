"""`--tune`: settings of a method tried under one seed, and the one that did best on validation.

A trial is a cell like any other, with a seed of its own that no reported cell has, judged on validation alone. Every
tuned method gets as many trials, each with the budget of the run. The chosen setting is trained anew with the seeds of
the run, and test is used for it alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from harness.records import Cell, CellResult, Score

SEED = 1000  # of all trials: reported cells have other ones
EVALUATION = "selection"  # what judges them


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One setting, and what validation said of it."""

    setting: str  # "vae[beta=4]"
    value: float | None = None  # the mean over its cells; None: one of them failed
    reason: str = ""  # why there is no value
    seconds: float = 0.0  # of training


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """The trials of one method on one backbone and source, in the order of the request."""

    method: str  # "vae"
    backbone: str  # "" for a method without
    source: str
    score: str  # what they were chosen by: "accuracy"
    unit: str
    better: str  # "higher" or "lower"
    trials: tuple[Trial, ...]
    chosen: str  # a setting; the first one where all trials failed

    @property
    def values(self) -> list[float]:
        """What the trials that did not fail got."""
        return [trial.value for trial in self.trials if trial.value is not None]

    @property
    def place(self) -> str:
        """Source and backbone in words."""
        return self.source + (f" ({self.backbone})" if self.backbone else "")

    @property
    def about(self) -> str:
        return f"{self.method} on {self.place}"


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """All that a run tuned."""

    seed: int
    budget: str  # of each trial
    tuned: tuple[Tuned, ...]

    def keeps(self, cell: Cell) -> bool:
        """Is it reported: not tuned, or the chosen setting?"""
        for one in self.tuned:
            here = (one.method, one.backbone, one.source) == _place(cell)
            if here and str(cell.method) in {trial.setting for trial in one.trials}:
                return str(cell.method) == one.chosen
        return True

    @property
    def trials(self) -> int:
        """Of each method."""
        return len(self.tuned[0].trials)


def _place(cell: Cell) -> tuple[str, str, str]:
    return cell.method.name, str(cell.backbone or ""), str(cell.source)


def chosen(results: list[CellResult]) -> Tuning:
    """From the cells of the trials, all of them: the best setting of each method, of equal ones the first."""
    places: dict[tuple[str, str, str], dict[str, list[CellResult]]] = {}
    for result in results:
        places.setdefault(_place(result.cell), {}).setdefault(str(result.cell.method), []).append(result)
    return Tuning(
        seed=results[0].cell.seed,
        budget=str(results[0].cell.budget),
        tuned=tuple(_tuned(place, settings) for place, settings in places.items()),
    )


def _tuned(place: tuple[str, str, str], settings: dict[str, list[CellResult]]) -> Tuned:
    trials = [_trial(setting, results) for setting, results in settings.items()]
    scores = [score for results in settings.values() for result in results for score in _scores(result)]
    better = scores[0].better if scores else "higher"
    known = [trial for trial in trials if trial.value is not None]
    best = (max if better == "higher" else min)(known, key=_value, default=trials[0])
    method, backbone, source = place
    return Tuned(
        method=method,
        backbone=backbone,
        source=source,
        score=scores[0].score if scores else "",
        unit=scores[0].unit if scores else "",
        better=better,
        trials=tuple(trials),
        chosen=best.setting,
    )


def _value(trial: Trial) -> float:
    assert trial.value is not None
    return trial.value


def _trial(setting: str, results: list[CellResult]) -> Trial:
    """One setting on all devices, precisions and ways of training that were asked for."""
    seconds = sum(result.training.seconds for result in results)
    values = [score.value for result in results for score in _scores(result)]
    if len(values) == len(results):
        return Trial(setting=setting, value=fmean(values), seconds=seconds)
    reasons = [result.training.reason for result in results]
    reasons += [one.reason for result in results for one in result.evaluations if one.status != "ok"]
    return Trial(setting=setting, reason=next(iter(filter(None, reasons)), "it has no score"), seconds=seconds)


def _scores(result: CellResult) -> list[Score]:
    return [one for judged in result.evaluations if judged.status == "ok" for one in judged.scores if one.primary]
