"""A side of a comparison: a run from its folder, or from the frame that one left behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from harness.cleaned import one_line
from harness.errors import RequestError
from harness.records import CellResult
from harness.report.examples import Examples
from harness.report.frame import dataset_labels, read_frame, tidy_frame
from harness.store import RunFolder

FRAMES = (".parquet", ".csv")


@dataclass(frozen=True)
class Side:
    """One of the two runs."""

    name: str  # the path, as it was given
    frame: pd.DataFrame  # tidy, see harness.report.frame
    examples: Examples = field(default_factory=lambda: Examples({}))  # where it was kept what each test example got
    missing: int = 0  # cells of the request that are not there
    damaged: tuple[str, ...] = ()  # what was left out since it is damaged, in a line


def load_sides(base: Path, candidate: Path) -> tuple[Side, Side]:
    """Both sides, with datasets called alike in both. Raises RequestError for what is no run, or one run twice."""
    if base.resolve() == candidate.resolve():
        raise RequestError(f"{base} is given twice: a run is compared with another one")
    found = {path: _read(path) for path in (base, candidate)}
    labels = dataset_labels(result for _, cells in filter(None, found.values()) for result in cells)
    first, second = (_side(path, found[path], labels) for path in (base, candidate))
    return first, second


def load_side(path: Path) -> Side:
    """One run alone. Raises RequestError for what is none."""
    found = _read(path)
    return _side(path, found, dataset_labels(found[1] if found else ()))


def _read(path: Path) -> tuple[RunFolder, list[CellResult]] | None:
    """A run's folder and its cells; None for a frame."""
    if path.suffix in FRAMES and path.is_file():
        return None
    if not path.exists():
        raise RequestError(f"{path} does not exist: give a folder that `harness bench` made, or its results.parquet")
    if not (path / "cells").is_dir():
        if (path / "results.parquet").is_file():
            raise RequestError(f"{path} has no folder 'cells': give {path / 'results.parquet'} itself")
        raise RequestError(f"{path} is no run: give a folder that `harness bench` made, or its results.parquet")
    folder = RunFolder(path)
    return folder, folder.load_cells()


def _side(path: Path, found: tuple[RunFolder, list[CellResult]] | None, labels: dict[str, str]) -> Side:
    if found is None:
        return _from_frame(path)
    folder, cells = found
    if not cells:
        raise RequestError("; ".join([f"{path} holds no finished cell: run `harness bench` first", *folder.damaged]))
    missing = max(0, len(folder.keys()) - len(cells))
    run = path.resolve().name
    return Side(str(path), tidy_frame(cells, run, labels), Examples({run: path}), missing, tuple(folder.damaged))


def _from_frame(path: Path) -> Side:
    try:
        frame = read_frame(path)
    except (OSError, ValueError, KeyError) as error:
        raise RequestError(f"cannot read {path}: {one_line(str(error))}") from None
    runs = sorted(frame["run"].unique())
    if len(runs) != 1:
        raise RequestError(f"{path} holds {len(runs)} runs: compare frames of one run each")
    return Side(str(path), frame, Examples({runs[0]: path.parent}))
