"""The pictures that runs kept, as a frame of files: samples, reconstructions, maps and the rest."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.cleaned import cleaned, one_line
from harness.errors import HarnessError, RequestError, did_you_mean
from harness.records import CellResult, EvaluationResult, Picture
from harness.report.frame import dataset_labels
from harness.report.pictures import Shown, in_order
from harness.report.series import Series, with_series
from harness.store import verified

COLUMNS = (
    "run", "label", "method", "source", "target", "seed", "evaluation", "labels", "name", "kind", "caption", "file",
)  # fmt: skip
_NAMED = 3  # faults that a line names


@dataclass(frozen=True)
class _Kept:
    """A picture of one cell, and the row of the frame that it becomes."""

    shown: Shown
    run: str
    folder: Path
    result: CellResult
    evaluation: EvaluationResult

    def row(self) -> tuple[object, ...]:
        one = self.shown
        judged, picture = self.evaluation, one.picture
        return (
            self.run, one.series.label, one.series.method, one.source, one.target, one.seed,
            cleaned(judged.evaluation), judged.labels, cleaned(picture.name), picture.kind, cleaned(picture.caption),
            one.file,
        )  # fmt: skip


def samples_frame(
    frame: pd.DataFrame, runs: Mapping[str, tuple[Path, Sequence[CellResult]]], method: str = ""
) -> pd.DataFrame:
    """One row per picture, see harness.results.Results.samples. frame: tidy. runs: folder and cells by name.

    What is not there or has another checksum than when it was made is left out, which a line on standard error says.
    """
    series = _series(frame)
    _check_method(method, runs, series)
    kept = [one for one in _kept(runs, series) if not method or method in _names(one.result, one.shown.series)]
    rows, faults = [], []
    for one in _ordered(kept):
        try:
            verified(one.folder, one.result, one.shown.picture.file)
        except FileNotFoundError:
            faults.append(f"{one_line(one.shown.picture.file)} is missing")
        except (OSError, HarnessError) as error:
            faults.append(one_line(str(error)))
        else:
            rows.append(one.row())
    if faults:
        more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        print(f"harness: left out: {'; '.join(faults[:_NAMED])}{more}", file=sys.stderr)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _series(frame: pd.DataFrame) -> dict[tuple[str, str], Series]:
    """Of each cell, by its run and its key."""
    if frame.empty:
        return {}
    numbered, series = with_series(frame)
    cells = numbered[["run", "cell", "series"]].drop_duplicates().itertuples(index=False, name=None)
    return {(run, key): series[index] for run, key, index in cells}


def _names(result: CellResult, one: Series) -> tuple[str, ...]:
    """What a method may be asked for by: as a plugin, with its parameters, as the report calls it."""
    return (result.cell.method.name, one.method, one.label)


def _check_method(
    method: str, runs: Mapping[str, tuple[Path, Sequence[CellResult]]], series: Mapping[tuple[str, str], Series]
) -> None:
    known = {
        name
        for run, (_, results) in runs.items()
        for result in results
        for name in _names(result, series[cleaned(run), cleaned(result.key)])
    }
    if method and method not in known:
        raise RequestError(f"no method '{method}' here: {did_you_mean(method, known)}")


def _kept(
    runs: Mapping[str, tuple[Path, Sequence[CellResult]]], series: Mapping[tuple[str, str], Series]
) -> Iterator[_Kept]:
    """Every picture of every cell; what all methods' features are drawn from is none."""
    labels = dataset_labels(result for _, results in runs.values() for result in results)
    for run, (folder, results) in runs.items():
        home = folder.resolve()
        for result in results:
            one = series[cleaned(run), cleaned(result.key)]
            for judged in result.evaluations:
                for picture in judged.pictures:
                    if picture.kind != "features":
                        shown = _shown(one, result, judged, picture, home, labels)
                        yield _Kept(shown, run, home, result, judged)


def _shown(
    one: Series,
    result: CellResult,
    judged: EvaluationResult,
    picture: Picture,
    home: Path,
    labels: Mapping[str, str],
) -> Shown:
    source = str(result.cell.source)
    return Shown(
        series=one, seed=result.cell.seed, picture=picture, file=home / picture.file,
        source=cleaned(labels.get(source, source)), target=cleaned(labels.get(judged.target, judged.target)),
    )  # fmt: skip


def _ordered(kept: Sequence[_Kept]) -> Iterator[_Kept]:
    """As a report has them: heading by heading, within it by data and method; then by seed."""
    of = {id(one.shown): one for one in kept}
    by_name: dict[str, list[Shown]] = {}
    for one in sorted(kept, key=lambda one: one.shown.seed):
        by_name.setdefault(one.shown.picture.name, []).append(one.shown)
    for _, group in in_order(by_name):
        yield from (of[id(shown)] for shown in group)
