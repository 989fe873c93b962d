"""What `--tune` tried: settings with what validation said of them, and what so many trials are worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.metrics.expected_best import expected_best
from harness.report.digits import digits
from harness.report.figures import Drawing
from harness.report.numbers import number, separated
from harness.report.plots import curves_chart
from harness.report.reading import listed
from harness.tuning import Tuned, Tuning

COLUMNS = (
    "method",
    "backbone",
    "source",
    "budget",
    "train",
    "setting",
    "score",
    "value",
    "chosen",
    "seconds",
    "reason",
    "seed",
)
MEANING = (
    "Each setting was trained once, for the whole budget, with a seed that no reported row has. Half of the validation "
    "split chose what had to be chosen, the other half gave the score; no score of test entered. The best setting was "
    "trained anew with the seeds of the run, and that is what the rest of this report is about. One seed tried them: a "
    "setting that is a little better here may not be with another seed, so the chosen one is a good guess."
)


def trials_frame(tuning: Tuning | None) -> pd.DataFrame:
    """A row for each trial."""
    if tuning is None:
        return pd.DataFrame(columns=list(COLUMNS))
    rows = [
        {
            "method": one.method,
            "backbone": one.backbone,
            "source": one.source,
            "budget": one.budget,
            "train": one.train,
            "setting": trial.setting,
            "score": one.score,
            "value": trial.value,
            "chosen": trial.setting == one.chosen,
            "seconds": trial.seconds,
            "reason": trial.reason,
            "seed": tuning.seed,
        }
        for one in tuning.tuned
        for trial in one.trials
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def sentence(tuning: Tuning, settings: Sequence[str]) -> str:
    """What was tuned and what was not, for the first lines. `settings`: of all methods that are compared."""
    budgets = listed(list(dict.fromkeys(separated(one.budget) for one in tuning.tuned)))
    alone = len({(one.backbone, one.source, one.budget, one.train) for one in tuning.tuned}) == 1
    said = [one.chosen if alone else f"{one.chosen} on {one.place}" for one in tuning.tuned if one.values]
    parts = [f"Chosen on validation among {tuning.trials} trials of {budgets} each: {listed(said)}."] if said else []
    parts += [f"Nothing could be chosen for {failure}; its first setting is reported." for failure in tuning.failures]
    chosen = {one.chosen for one in tuning.tuned}
    untuned = [setting for setting in settings if setting not in chosen]
    if untuned:
        parts.append(f"{listed(untuned)} had no trials: comparing what was tuned with what was not is not fair.")
    return " ".join(parts)


def written(one: Tuned) -> Iterator[tuple[str, str, str]]:
    """A line for each trial: its setting, its score or why there is none, and whether it was chosen."""
    column = digits(((value, None) for value in one.values), one.unit)
    for trial in one.trials:
        value = f"failed: {trial.reason}" if trial.value is None else number(trial.value, column)
        yield trial.setting, value, "chosen" if trial.setting == one.chosen and one.values else ""


def drawings(tunings: Mapping[str, Tuning]) -> Iterator[Drawing]:
    """The expected best score on validation of 1 to N trials; a figure for each score and source."""
    groups: dict[tuple[str, str, str, str], dict[str, list[float]]] = {}
    for one in (one for tuning in tunings.values() for one in tuning.tuned if len(one.values) > 1):
        label = one.method + (f" ({one.backbone})" if one.backbone else "")
        curve = expected_best(one.values, "lower" if one.better == "lower" else "higher")
        groups.setdefault((one.source, one.score, one.unit, one.better), {})[label] = curve
    for order, ((source, score, unit, better), lines) in enumerate(groups.items()):
        trials = max(map(len, lines.values()))
        content: dict[str, Any] = {
            "x": list(range(1, trials + 1)),
            "lines": {label: [*curve, *[None] * (trials - len(curve))] for label, curve in lines.items()},
            "low": {},
            "high": {},
            "levels": {},
            "x_label": "trials",
            "y_label": f"{score.replace('_', ' ')} on validation\n({unit}, {better} is better)",
            "x_names": [],
            "log_x": False,
            "y_range": None,
        }
        title = f"What tuning gives on {source}: the expected best of so many trials"
        caption = (
            "The mean of the best of n trials, drawn with replacement from those that were run (Dodge et al. 2019). A "
            "curve that is flat at its end says that more trials of this kind are not worth their cost."
        )
        yield curves_chart(content, None, f"tuning-{order}", title=title, caption=caption)
