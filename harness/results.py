"""What a bench gave, and what runs on the disk hold: frames, tables, and the questions that are asked of them most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cleaned import cleaned
from harness.records import CellResult
from harness.store import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


@dataclass(frozen=True, repr=False)
class Results:
    """What a bench gave: `.frame` (one row per score), `.table()` (the ranked comparison), and a view in notebooks."""

    folder: RunFolder
    cells: tuple[CellResult, ...]
    missing: int = 0  # cells that were not run, after an interruption or --fail-fast
    reports: tuple[Path, ...] = field(default=(), repr=False)

    @cached_property
    def frame(self) -> DataFrame:
        """The tidy frame: one row per score, skipped and failed evaluations too."""
        from harness.report.frame import tidy_frame
        from harness.report.series import labelled

        return labelled(tidy_frame(list(self.cells), self.folder.path.name))

    def pivot(self, evaluation: str = "", score: str = "", columns: Sequence[str] = ()) -> DataFrame:
        """Means over seeds: rows of the report x scores. `pivot("knn", "accuracy", ["target"])`: rows x targets.

        Untrained methods, settings and runs that differ have rows of their own; see harness.report.tidy.
        """
        from harness.report import tidy

        return tidy.pivot(self.frame, evaluation, score, columns)

    def gain(self, evaluation: str = "", score: str = "") -> DataFrame:
        """The gain over random-init within each seed, positive is better: one row per label, target, score and seed."""
        from harness.report import tidy

        return tidy.gain(self.frame, evaluation, score)

    def examples(self, evaluation: str = "", score: str = "", method: str = "") -> DataFrame:
        """What each test example got, one row per example, cell and score: which ones fail, and for whom.

        evaluation, score, method: only of these, by their names as in `frame`. Columns: those that name the cell, then
        `example` (its place in the target's test split), `label` (its class, NA without one) and `outcome` (right or
        wrong as 1 or 0, an error, ...: the score is its mean).
        """
        from harness.report.examples import examples_frame

        return examples_frame(self.frame, self._folders, evaluation, score, method)

    def figure(self, evaluation: str = "", score: str = "") -> Figure:
        """The report's comparative figure: a line for each method, best on top, with its mean, interval and seeds.

        evaluation, score: which one, by their names as in `frame`; of an evaluation alone its first score in the
        report, and without both the leading score. Each source and target has axes of its own, below each other. It is
        a matplotlib Figure that pyplot does not know of: `.savefig("figure.pdf")`, and a notebook shows it by itself.
        Raises RequestError where nothing that was measured is called so.
        """
        from harness.report.dot_plots import ranking_figure

        return ranking_figure(self.frame, self._folders, evaluation, score)

    def samples(self, method: str = "") -> DataFrame:
        """The pictures that the run kept, one row for each: samples, reconstructions, maps and the rest.

        method: only its own, by its name ("vae"), with parameters, or by the label of the report. In the order of the
        report, of all seeds. Columns: run, label, method, source, target, seed, evaluation, labels, `name` ("samples"),
        `kind` ("image" and "film" are PNG files; what else there is is JSON, see harness.records.Picture), caption and
        `file`, an absolute Path. Files that are gone, damaged or not the run's own are left out, and named on standard
        error. Raises RequestError for a method that is not there.
        """
        from harness.report.samples import samples_frame

        return samples_frame(self.frame, {name: (path, self.cells) for name, path in self._folders.items()}, method)

    @property
    def _folders(self) -> dict[str, Path]:
        """The run's folder by its name in the frame."""
        return {cleaned(self.folder.path.name): self.folder.path}

    def __repr__(self) -> str:
        trouble = f", {len(self.failures)} failures" if self.failures else ""
        trouble += f", {self.missing} not run" if self.missing else ""
        trouble += f", {len(self.folder.damage)} damaged files" if self.folder.damage else ""
        return f"<Results of {len(self.cells)} cells in {self.folder.path}{trouble}>"

    def table(self) -> DataFrame:
        """Methods x primary scores, with intervals over seeds and the gain over random-init."""
        from harness.report import table

        return table(list(self.cells), self.folder.path)

    def _repr_html_(self) -> str:
        from harness.report import notebook_html

        return notebook_html(list(self.cells), self.folder.path)

    @cached_property
    def tuning(self) -> DataFrame:
        """The trials of `--tune`, a row each: method, backbone, source, setting, score, value, chosen, reason."""
        from harness.report.tuning import trials_frame

        return trials_frame(self.folder.tuning())

    @property
    def failures(self) -> list[str]:
        """One line for each cell or evaluation that failed, and each method whose trials gave nothing to choose by."""
        tuning = self.folder.tuning()
        lines = tuning.failures if tuning else []
        for cell in self.cells:
            if cell.training.status == "failed":
                lines.append(f"{cell.cell.title}: {cell.training.reason}")
                continue
            failed = [e for e in cell.evaluations if e.status == "failed"]
            lines += [f"{cell.cell.title}: {e.title} on {e.target}: {e.reason}" for e in failed]
        return lines

    @property
    def logs(self) -> list[Path]:
        """What the cells that failed printed, where they printed anything."""
        failed = [
            one for one in self.cells
            if one.training.status == "failed" or any(e.status == "failed" for e in one.evaluations)
        ]  # fmt: skip
        files = [self.folder.logs / f"{one.key}.log" for one in failed]
        return [file for file in files if file.is_file() and file.stat().st_size]

    @property
    def skipped(self) -> list[str]:
        """A line for each cell that makes no sense: which method on what, and why."""
        return [
            f"{one.cell.method} on {one.cell.source}: {one.training.reason}"
            for one in self.cells
            if one.training.status == "skipped"
        ]

    @property
    def ok(self) -> bool:
        return not self.failures and not self.missing


@dataclass(frozen=True, repr=False)
class Several:
    """Several runs side by side, as one frame: rows that are alike carry one label, and what differs is in it."""

    runs: tuple[Results, ...]

    @cached_property
    def frame(self) -> DataFrame:
        """The tidy frames of all runs under each other; `run` says which is which."""
        from harness.report.frame import dataset_labels, joined, tidy_frame
        from harness.report.series import labelled

        labels = dataset_labels(cell for run in self.runs for cell in run.cells)
        frames = [tidy_frame(run.cells, name, labels) for name, run in self._named().items()]
        return labelled(joined(frames))

    def pivot(self, evaluation: str = "", score: str = "", columns: Sequence[str] = ()) -> DataFrame:
        """As `Results.pivot`. Runs that differ in what they ran with have rows of their own."""
        from harness.report import tidy

        return tidy.pivot(self.frame, evaluation, score, columns)

    def gain(self, evaluation: str = "", score: str = "") -> DataFrame:
        """As `Results.gain`."""
        from harness.report import tidy

        return tidy.gain(self.frame, evaluation, score)

    def examples(self, evaluation: str = "", score: str = "", method: str = "") -> DataFrame:
        """As `Results.examples`."""
        from harness.report.examples import examples_frame

        return examples_frame(self.frame, self._folders, evaluation, score, method)

    def figure(self, evaluation: str = "", score: str = "") -> Figure:
        """As `Results.figure`, of all runs."""
        from harness.report.dot_plots import ranking_figure

        return ranking_figure(self.frame, self._folders, evaluation, score)

    def samples(self, method: str = "") -> DataFrame:
        """As `Results.samples`, of all runs."""
        from harness.report.samples import samples_frame

        kept = {name: (run.folder.path, run.cells) for name, run in self._named().items()}
        return samples_frame(self.frame, kept, method)

    @property
    def failures(self) -> list[str]:
        return [f"{name}: {line}" for name, run in self._named().items() for line in run.failures]

    @property
    def _folders(self) -> dict[str, Path]:
        return {cleaned(name): run.folder.path for name, run in self._named().items()}

    def __repr__(self) -> str:
        return f"<{len(self.runs)} runs: {', '.join(map(repr, self.runs))}>"

    def _named(self) -> dict[str, Results]:
        """Each run by a name of its own: where two folders are called the same, with their parents."""
        paths = [run.folder.path.resolve() for run in self.runs]
        names = [path.name for path in paths]
        apart = ["/".join(p.parts[-2:]) if names.count(p.name) > 1 else p.name for p in paths]
        return dict(zip(apart if len(set(apart)) == len(apart) else map(str, paths), self.runs, strict=True))


def load_results(path: Path | str) -> Results:
    """The finished cells of a run's last request; `missing` counts those that it does not have."""
    folder = RunFolder(path)
    cells = folder.load_cells()
    return Results(folder, tuple(cells), missing=max(0, len(folder.keys()) - len(cells)))
