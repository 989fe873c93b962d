"""What is asked of the tidy frame most often, without its traps.

Untrained cells are rows of their own, a cell that two runs repeat counts once, and a gain is taken within each seed
over the untrained backbone of the same setting.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.errors import RequestError, did_you_mean
from harness.report.frame import TRAINING
from harness.report.series import baselines_of, latest, with_series

_SCORE = ["target", "evaluation", "score"]
COLUMNS = (
    "label", "method", "source", "target", "evaluation", "score", "unit", "seed", "value", "baseline", "gain",
)  # fmt: skip


def pivot(frame: pd.DataFrame, evaluation: str = "", score: str = "", columns: Sequence[str] = ()) -> pd.DataFrame:
    """Means over seeds: a row for each label (and source and target, where there are several of them).

    evaluation, score: only of these; without a score, the primary ones. columns: of the frame, "evaluation" and
    "score" unless said otherwise; ("target",) makes methods x targets of one score.
    """
    rows = _asked(frame, evaluation, score)
    given = list(columns) or [name for name in ("evaluation", "score") if rows[name].nunique() > 1] or ["score"]
    unknown = [name for name in given if name not in rows.columns]
    if unknown:
        raise RequestError(f"the frame has no column '{unknown[0]}': {did_you_mean(unknown[0], rows.columns)}")
    pooled = [name for name in ("evaluation", "score") if name not in given and rows[name].nunique() > 1]
    if pooled:
        example = rows[pooled[0]].iloc[0]
        raise RequestError(f"a mean of several {pooled[0]}s says nothing: name one, such as '{example}'")
    where = [name for name in ("source", "target") if name not in given and rows[name].nunique() > 1]
    rows = rows.sort_values("series", kind="stable")  # the order of reports
    return rows.pivot_table(index=["label", *where], columns=given, values="value", aggfunc="mean", sort=False)


def gain(frame: pd.DataFrame, evaluation: str = "", score: str = "") -> pd.DataFrame:
    """What training gave over `random-init`: a row for each label, target, score and seed; positive is better.

    evaluation, score: only of these; without a score, the primary ones. Scores without a better direction, and rows
    whose setting has no untrained backbone, have no gain and are left out.
    """
    rows = _asked(frame, evaluation, score)
    series = with_series(frame)[1]
    baselines = {index: base.index for index, base in baselines_of(series).items()}
    rows = rows[rows["better"] != "none"].assign(base=rows["series"].map(baselines))
    bases = rows[["series", "source", *_SCORE, "seed", "value"]].rename(columns={"series": "base", "value": "baseline"})
    found = rows.dropna(subset=["base"]).merge(bases, on=["base", "source", *_SCORE, "seed"])
    sign = found["better"].map({"higher": 1.0, "lower": -1.0})
    return found.assign(gain=sign * (found["value"] - found["baseline"]))[list(COLUMNS)].reset_index(drop=True)


def _asked(frame: pd.DataFrame, evaluation: str, score: str) -> pd.DataFrame:
    """The rows with a value that are asked for, each seed once, with their series. RequestError where there is none."""
    numbered, _ = with_series(frame)
    rows = latest(numbered[numbered["value"].notna() & (numbered["evaluation"] != TRAINING)])
    for column, name in (("evaluation", evaluation), ("score", score)):
        if name and name not in set(rows[column]):
            raise RequestError(f"no row of the frame has the {column} '{name}': {did_you_mean(name, rows[column])}")
        rows = rows[rows[column] == name] if name else rows
    rows = rows if score else rows[rows["primary"]]
    if rows.empty:
        raise RequestError("the frame has no such scores: see its columns evaluation, score, primary and reason")
    return rows
