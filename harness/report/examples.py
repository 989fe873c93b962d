"""What test examples got, read from beside the cells that a tidy frame names."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.cleaned import one_line
from harness.confined import placed
from harness.examples import Outcomes, read_examples

_CELL = [
    "run", "cell", "method", "kind", "params", "backbone", "source", "target", "device", "precision", "seed",
    "budget", "evaluation", "labels", "score",
]  # fmt: skip
_FILES = 256  # of evaluations, kept in memory: a score and the others of its evaluation are asked for in turn


class Examples:
    """Finds outcomes by the run and the file that a row of the tidy frame names."""

    def __init__(self, runs: Mapping[str, Path]) -> None:
        self.runs = dict(runs)  # folders by the name of their run
        self._read = lru_cache(_FILES)(self._placed)

    def of(self, run: str, file: str, score: str) -> Outcomes | None:
        """The outcomes of a score; None where none were kept, or where their file is gone."""
        return self._read(run, file)[0].get(score) if file and run in self.runs else None

    def labels(self, run: str, file: str) -> NDArray[np.int64] | None:
        """The classes of the whole test split, where it has them."""
        return self._read(run, file)[1]

    def _placed(self, run: str, file: str) -> tuple[dict[str, Outcomes], NDArray[np.int64] | None]:
        return _read(placed(self.runs[run], file))


def _read(file: Path) -> tuple[dict[str, Outcomes], NDArray[np.int64] | None]:
    """Nothing where the file is gone, as in a report from a run without its artifacts; a damaged one is named."""
    try:
        return read_examples(file)
    except FileNotFoundError:
        return {}, None
    except (OSError, ValueError) as error:
        print(
            f"harness: {one_line(str(error))}; intervals are over seeds alone where it was asked for", file=sys.stderr
        )
        return {}, None


def examples_frame(
    frame: pd.DataFrame, runs: Mapping[str, Path], evaluation: str = "", score: str = "", method: str = ""
) -> pd.DataFrame:
    """One row per example, cell and score of the rows of a tidy frame; see harness.run.Results.examples."""
    asked = {"evaluation": evaluation, "score": score, "method": method}
    for column, value in asked.items():
        frame = frame[frame[column] == value] if value else frame
    examples = Examples(runs)
    parts = []
    for row in frame[frame["examples"] != ""].to_dict("records"):
        outcomes = examples.of(row["run"], row["examples"], row["score"])
        if outcomes is not None:
            parts.append(_part(row, outcomes, examples.labels(row["run"], row["examples"])))
    columns = [*_CELL, "example", "label", "outcome"]
    if not parts:
        return pd.DataFrame({column: pd.Series(dtype=object) for column in columns})
    whole = pd.concat(parts, ignore_index=True)[columns]
    return whole.astype({column: "category" for column in _CELL if column != "seed"})


def _part(row: Any, outcomes: Outcomes, labels: NDArray[np.int64] | None) -> pd.DataFrame:
    index = outcomes.index()
    part = pd.DataFrame({"example": index, "outcome": outcomes.values}).assign(**{key: row[key] for key in _CELL})
    return part.assign(label=pd.array([pd.NA] * len(part) if labels is None else labels[index], dtype="Int64"))
