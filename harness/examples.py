"""What each test example got, kept beside its cell: one compressed file per evaluation, an array for each score.

    artifacts/<cell>/<evaluation>/examples.npz      "accuracy" (N,), "accuracy.rows" (N,) where not all were used,
                                                    and "label" (M,), the class of every example of the test split

Right or wrong is kept as one byte, anything else as float32: 10,000 answers take about 2 kB. N examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.arrays import read_arrays, write_arrays
from harness.cleaned import one_line
from harness.errors import TrainingFailed
from harness.records import ScoreValue

FILE = "examples.npz"
_TOLERANCE = 1e-4  # of the value: what float32 rounds in a mean stays below it


@dataclass(frozen=True)
class Outcomes:
    """What test examples got by one score, and which examples of the test split they are."""

    values: NDArray[np.float64]  # (N,)
    rows: NDArray[np.int64] | None = None  # (N,), rising; None: all of the split, in its order

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The values of some of the examples, by their rows in the test split."""
        return self.values[rows] if self.rows is None else self.values[np.searchsorted(self.rows, rows)]

    def index(self) -> NDArray[np.int64]:
        """The row of each value in the test split."""
        return np.arange(len(self.values)) if self.rows is None else self.rows


def checked(name: str, measured: ScoreValue, examples: int) -> Outcomes | None:
    """The outcomes of a score, of a test split of so many examples; None where it has none.

    Raises TrainingFailed where they are not what the score is the mean of.
    """
    if measured.outcomes is None:
        return None
    values = _array(f"outcomes of {name}", measured.outcomes, "biuf", "numbers").astype(np.float64)
    rows = None if measured.rows is None else _array(f"rows of {name}", measured.rows, "iu", "whole numbers")
    rows = None if rows is None else rows.astype(np.int64)
    expected = examples if rows is None else rows.size
    if rows is not None and (rows.ndim != 1 or not rows.size):
        raise TrainingFailed(f"rows of {name} have the shape {rows.shape}, expected (N,) with N of 1 or more")
    if values.shape != (expected,):
        raise TrainingFailed(f"outcomes of {name} have the shape {values.shape}, expected ({expected},)")
    if rows is not None and (len(np.unique(rows)) != len(rows) or rows.min() < 0 or rows.max() >= examples):
        raise TrainingFailed(f"rows of {name} must be different examples of the test split, from 0 to {examples - 1}")
    if not np.isfinite(values).all():
        raise TrainingFailed(f"outcomes of {name} have values that are not finite")
    if abs(values.mean() - measured.value) > _TOLERANCE * max(1.0, abs(measured.value)):
        raise TrainingFailed(
            f"the mean of the outcomes of {name} is {values.mean():g}, and its value {measured.value:g}"
        )
    if rows is not None:
        order = np.argsort(rows)
        values, rows = values[order], rows[order]
    return Outcomes(values, rows)


def _array(what: str, value: Any, kinds: str, expected: str) -> NDArray[Any]:
    """As an array of one of these kinds of dtypes. Text, complex numbers and objects are not converted."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged, or a tensor that numpy cannot hold
        raise TrainingFailed(f"{what} are no array: {one_line(str(error))}") from None
    if array.dtype.kind not in kinds:
        raise TrainingFailed(f"{what} have the dtype {array.dtype}, expected {expected}")
    return array


def write_examples(folder: Path, outcomes: Mapping[str, Outcomes], labels: Any | None) -> Path:
    """Keep outcomes by score, and the classes (M,) of the test split if it has them."""
    arrays: dict[str, Any] = {} if labels is None else {"label": np.asarray(labels, dtype=np.int32)}
    for name, found in outcomes.items():
        flags = bool(np.isin(found.values, (0, 1)).all())
        arrays[name] = found.values.astype(np.uint8 if flags else np.float32)
        if found.rows is not None:
            arrays[f"{name}.rows"] = found.rows.astype(np.int32)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / FILE
    write_arrays(file, arrays)
    return file


def read_examples(file: Path) -> tuple[dict[str, Outcomes], NDArray[np.int64] | None]:
    """Outcomes by score, and the classes of the test split, from a file of `write_examples`.

    Raises OSError where there is no such file, and ValueError where it is damaged.
    """
    found = read_arrays(file)
    labels = found.pop("label", None)
    outcomes = {
        name: Outcomes(values.astype(np.float64), _int64(found.get(f"{name}.rows")))
        for name, values in found.items()
        if not name.endswith(".rows")
    }
    return outcomes, _int64(labels)


def _int64(values: Any | None) -> NDArray[np.int64] | None:
    return None if values is None else values.astype(np.int64)


def in_common(several: Sequence[Outcomes]) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
    """The rows that all of these have, and the values of each there.

    >>> rows, (first, second) = in_common([Outcomes(np.arange(4.0)), Outcomes(np.array([5.0, 6.0]), np.array([1, 3]))])
    >>> rows.tolist(), first.tolist(), second.tolist()
    ([1, 3], [1.0, 3.0], [5.0, 6.0])
    """
    rows = several[0].index()
    for other in several[1:]:
        rows = np.intersect1d(rows, other.index(), assume_unique=True)
    return rows, [one.of(rows) for one in several]
