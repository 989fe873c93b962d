"""`--tune`: settings of a method tried under one seed, and the one that did best on validation.

A trial is a cell like any other, with a seed of its own that no reported cell has, judged on validation alone. Every
tuned method gets as many trials, each with the budget of the run. The chosen setting is trained anew with the seeds of
the run, and test is used for it alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from statistics import fmean

from harness.records import Cell, CellResult, Score, TrainConfig, budget_text

SEED = 1000  # of all trials: reported cells have other ones
EVALUATION = "selection"  # what judges them


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One setting, and what validation said of it."""

    setting: str  # "vae[beta=4]"
    value: float | None = None  # the mean over its cells; None: one of them failed
    reason: str = ""  # why there is no value
    seconds: float = 0.0  # of training

    def __post_init__(self) -> None:
        if self.value is not None and not abs(self.value) < 1e300:
            raise ValueError(f"a trial has a finite value or none, not {self.value}")


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """The trials of one method in one place, in the order of the request."""

    method: str  # "vae"
    backbone: str  # "" for a method without
    source: str
    budget: str  # of each trial
    train: str  # what the request and the method's recipe set of the optimisation
    score: str  # what they were chosen by: "accuracy"
    unit: str
    better: str  # "higher" or "lower"
    trials: tuple[Trial, ...]
    chosen: str  # a setting; the first one where all trials failed

    def __post_init__(self) -> None:
        if not self.trials:
            raise ValueError("a method is tuned by one trial or more")

    @property
    def values(self) -> list[float]:
        """What the trials that did not fail got."""
        return [trial.value for trial in self.trials if trial.value is not None]

    @property
    def place(self) -> str:
        """Source and backbone in words."""
        beside = ", ".join(filter(None, (self.backbone, self.train)))
        return self.source + (f" ({beside})" if beside else "")

    @property
    def about(self) -> str:
        return f"{self.method} on {self.place}"


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """All that a run tuned."""

    seed: int
    tuned: tuple[Tuned, ...]
    fixed: tuple[tuple[str, ...], ...] = ()  # settings that were asked for besides, with their places: they stay

    def keeps(self, cell: Cell) -> bool:
        """Is it reported: not tuned, the chosen setting, or asked for as it is?"""
        place, setting = place_of(cell), str(cell.method)
        if (*place, setting) in self.fixed:
            return True
        here = [one for one in self.tuned if (one.method, one.backbone, one.source, one.budget, one.train) == place]
        return all(setting == one.chosen or setting not in {t.setting for t in one.trials} for one in here)

    @property
    def failures(self) -> list[str]:
        """A line for each method of which no trial has a score."""
        return [f"{one.about}: no trial has a score: {one.trials[0].reason}" for one in self.tuned if not one.values]

    @property
    def trials(self) -> int:
        """Of each method."""
        return len(self.tuned[0].trials)


def place_of(cell: Cell) -> tuple[str, str, str, str, str]:
    """Method, backbone, source, budget and optimisation: settings in one place are tried against each other."""
    default = TrainConfig()
    train = asdict(cell.train)
    changed = ", ".join(f"{name}={value}" for name, value in train.items() if value != getattr(default, name))
    return cell.method.name, str(cell.backbone or ""), str(cell.source), budget_text(cell), changed


def chosen(results: list[CellResult], fixed: Iterable[tuple[str, ...]] = ()) -> Tuning:
    """From the cells of the trials, all of them: the best setting of each method, of equal ones the first."""
    places: dict[tuple[str, ...], dict[str, list[CellResult]]] = {}
    for result in results:
        places.setdefault(place_of(result.cell), {}).setdefault(str(result.cell.method), []).append(result)
    return Tuning(
        seed=results[0].cell.seed,
        tuned=tuple(_tuned(place, settings) for place, settings in places.items()),
        fixed=tuple(fixed),
    )


def _tuned(place: tuple[str, ...], settings: dict[str, list[CellResult]]) -> Tuned:
    trials = [_trial(setting, results) for setting, results in settings.items()]
    scores = [score for results in settings.values() for result in results for score in _scores(result)]
    better = scores[0].better if scores else "higher"
    known = [trial for trial in trials if trial.value is not None]
    best = (max if better == "higher" else min)(known, key=_value, default=trials[0])
    method, backbone, source, budget, train = place
    return Tuned(
        method=method,
        backbone=backbone,
        source=source,
        budget=budget,
        train=train,
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
    """One setting on all devices and precisions that were asked for."""
    seconds = sum(result.training.seconds for result in results)
    values = [score.value for result in results for score in _scores(result)]
    if len(values) == len(results):
        return Trial(setting=setting, value=fmean(values), seconds=seconds)
    reasons = [result.training.reason for result in results]
    reasons += [one.reason for result in results for one in result.evaluations if one.status != "ok"]
    return Trial(setting=setting, reason=next(iter(filter(None, reasons)), "it has no score"), seconds=seconds)


def _scores(result: CellResult) -> list[Score]:
    return [one for judged in result.evaluations if judged.status == "ok" for one in judged.scores if one.primary]
