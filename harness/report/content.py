"""Everything that a report shows, gathered once from the runs; HTML and Markdown are two ways to write it down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from harness.cleaned import one_line
from harness.records import CellResult, TrainingResult
from harness.report import tuning
from harness.report.across import Across, across_datasets
from harness.report.cost_charts import compute_chart, cost_chart, worth_drawing
from harness.report.costs import Costs, training_costs
from harness.report.dot_plots import ranking_chart
from harness.report.entries import Column, Entry
from harness.report.figures import Drawing, monitor_chart, sweep_chart
from harness.report.frame import PROVENANCE, counted, dataset_labels, joined, tidy_frame
from harness.report.line_panels import curve_panel
from harness.report.numbers import separated
from harness.report.palette import Look, looks_in_a_report
from harness.report.pictures import Shown, shown_pictures, slug
from harness.report.reading import answers, reading
from harness.report.series import Series, differing_provenance, usual_value, with_series, worth_a_row
from harness.report.similarity import similarity_charts
from harness.report.summary import Comparison, comparisons
from harness.report.sweeps import sweeps
from harness.report.tables import Lack, ScoreRow, Trouble, lacks, score_rows, troubles
from harness.report.transfer import Transfer, transfers
from harness.report.transfer_answers import transfer_answers
from harness.tuning import Tuning

MONITORED = (
    "kNN accuracy on a slice of the validation split while methods train (k = 20, cosine; at most 5,000 training "
    "examples vote on at most 1,000). To look at: nothing was chosen by it, and training went as without it. A cell "
    "that was not asked for it has no line."
)


SMALL_WORDS = {  # below a score, and what each means; what they count is put in
    "floor": "what real training {} get by a distance",
    "real": "what real training {} get",
    "copy": "the input itself",
    "unseen": "combinations that were held out of training",
    "gap": "how much better it is on training {}",
    "ceiling": "what its judge gets on real test {}",
    "chance": "guessing",
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as it comes from the disk."""

    name: str
    path: Path
    results: tuple[CellResult, ...]
    environment: dict[str, Any]
    request: dict[str, Any]
    tuning: Tuning | None = None  # what was tried before
    notices: tuple[str, ...] = ()  # what is damaged of it, or was written by an older version


def _said(word: str, runs: Sequence[Run]) -> list[str]:
    """A word of the suites, once each."""
    texts = [run.request.get(word) for run in runs]
    return list(dict.fromkeys(one_line(text) for text in texts if isinstance(text, str) and text.strip()))


@dataclass(frozen=True, kw_only=True)
class Content:
    """The report, before it is written in any format."""

    runs: tuple[Run, ...]
    frame: pd.DataFrame
    series: tuple[Series, ...]
    looks: dict[int, Look]
    comparisons: tuple[Comparison, ...]
    differing: tuple[str, ...]  # provenance columns in which the runs differ
    rankings: tuple[Drawing, ...]
    transfers: tuple[Transfer, ...]  # sources against targets, where something was transferred
    tunings: Mapping[str, Tuning]  # what was tried before, by the run's name
    tuned: tuple[Drawing, ...]  # what so many trials are worth
    across: tuple[Across, ...]  # scores over three datasets or more
    sweeps: tuple[Drawing, ...]
    spent: tuple[Costs, ...]  # of training, one for each source
    costs: tuple[Drawing, ...]
    curves: tuple[Drawing, ...]
    monitors: tuple[Drawing, ...]
    similarities: tuple[Drawing, ...]  # of the methods' representations
    pictures: dict[str, list[Shown]]
    scores: tuple[ScoreRow, ...]
    troubles: tuple[Trouble, ...]
    cells: tuple[tuple[Run, Series, CellResult], ...]

    @property
    def title(self) -> str:
        """What the one suite says, or its methods and datasets."""
        said = _said("title", self.runs)
        if len(said) == 1:
            return said[0]
        learned = list(dict.fromkeys(one.method for one in self.shown if not one.is_reference))
        shown = learned if len(learned) <= 5 else [*learned[:4], f"and {len(learned) - 4} more"]
        sources = list(dict.fromkeys(comparison.source for comparison in self.comparisons))
        return f"{', '.join(shown) or 'References'} on {', '.join(sources) or 'nothing'}"

    @property
    def failures(self) -> list[Trouble]:
        """What should have given a number."""
        return [trouble for trouble in self.troubles if trouble.status == "failed"]

    @property
    def lacking(self) -> list[Lack]:
        """What does not apply, by its reason."""
        return lacks(self.troubles)

    @property
    def questions(self) -> list[str]:
        """What the runs are to answer, in the words of their suites."""
        return _said("question", self.runs)

    @cached_property
    def shown(self) -> list[Series]:
        """Those with a row, a colour and pictures of their own."""
        return worth_a_row(self.series)

    @property
    def trained_for(self) -> str:
        """The budget: of all, or of most, where the others say theirs."""
        budgets = [separated(one.budget) for one in self.series if one.budget and not one.is_untrained]
        usual, count = usual_value(budgets), len(set(budgets))
        if count <= 1:
            return f"the same budget{usual and f', {usual}'}"
        return f"{usual}, or for the budget in their name" if usual else "the budget in their name"

    @property
    def unsaid(self) -> str:
        """The backbone and the device of most, where only the others say theirs."""
        told = []
        for name in ("backbone", "device"):
            values = [getattr(one, name) for one in self.series]
            if usual_value(values) and len(set(filter(None, values))) > 1:
                told.append(f"a name that says no {name} is on {usual_value(values)}")
        return " and ".join(told)

    @cached_property
    def entries(self) -> list[tuple[Column, Entry]]:
        """All that the comparisons show, each with its column."""
        rows = [(c.columns, row.entries) for c in self.comparisons for row in c.rows]
        return [pair for columns, entries in rows for pair in zip(columns, entries, strict=True)]

    @property
    def small_words(self) -> list[str]:
        """The words below scores, of those that have a meaning for all evaluations."""
        shown = {word for _, entry in self.entries for word, _ in entry.beside}
        guessed = any(
            entry.chance is not None and entry.estimate and not column.ranked for column, entry in self.entries
        )
        return [word for word in SMALL_WORDS if word in shown or (word == "chance" and guessed)]

    @property
    def seed_counts(self) -> set[int]:
        """How many seeds the scores and differences have that are shown."""
        compared = {found.n for _, entry in self.entries for found in (entry.gain, entry.learned) if found}
        return compared | {len(entry.by_seed) for _, entry in self.entries if entry.by_seed}

    @property
    def counted(self) -> str:
        """What was learned from: "images", "clips", "texts", or "examples" of several kinds."""
        return counted(self.frame)

    @property
    def readings(self) -> list[str]:
        return [reading(comparison) for comparison in self.comparisons]

    @property
    def answered(self) -> list[tuple[Comparison, list[str]]]:
        """What was asked beside the leading score, a line each."""
        return [(comparison, answers(comparison)) for comparison in self.comparisons]

    @property
    def transferred(self) -> list[str]:
        """What was found where something was transferred, over all pairs of a source and another target."""
        return transfer_answers(self.comparisons, self.transfers)

    @property
    def tuning(self) -> list[str]:
        """What was chosen, a sentence for each run that tuned."""
        learned = list(dict.fromkeys(one.method for one in self.shown if not one.is_reference))
        return [tuning.sentence(one, learned) for one in self.tunings.values()]

    @property
    def drawings(self) -> list[Drawing]:
        maps = [shown.drawing for group in self.pictures.values() for shown in group if shown.drawing]
        across = [drawing for one in self.across for drawing in one.drawings]
        told = [
            *self.rankings,
            *across,
            *self.tuned,
            *self.sweeps,
            *self.costs,
            *self.monitors,
            *self.curves,
            *self.similarities,
        ]
        return [*told, *maps]


def gather(runs: Sequence[Run]) -> Content:
    """Read, pool and compare. Pure but for reading the pictures."""
    labels = dataset_labels(result for run in runs for result in run.results)
    frame = joined([tidy_frame(run.results, run.name, labels) for run in runs])
    numbered, series = with_series(frame)
    frame = frame.assign(label=numbered["label"].to_numpy())
    trained = {one.index for one in worth_a_row(series)}
    look = looks_in_a_report(series)
    folders = {run.name: run.path for run in runs}
    compared = comparisons(numbered, series, folders)
    cells = tuple(_cells(runs, numbered, series))
    looked_at = [(run.path, one, result) for run, one, result in cells if one.index in trained]
    pictures = shown_pictures(looked_at, labels)
    rankings = [ranking_chart(c, look, slug(f"ranking-{c.source}-{c.target}")) for c in compared]
    spent = training_costs(numbered, series)
    tunings = {run.name: run.tuning for run in runs if run.tuning}
    return Content(
        runs=tuple(runs),
        frame=frame,
        series=tuple(series),
        looks=look,
        comparisons=tuple(compared),
        differing=tuple(differing_provenance(frame)),
        rankings=tuple(drawing for drawing in rankings if drawing),
        transfers=tuple(transfers(compared)),
        tunings=tunings,
        tuned=tuple(tuning.drawings(tunings)),
        across=tuple(across_datasets(compared, look)),
        sweeps=tuple(_sweeps(cells, compared)),
        spent=tuple(spent),
        costs=tuple(_cost_charts(compared, {costs.source: costs for costs in spent}, look)),
        curves=tuple(_curves(cells, labels, look)),
        monitors=tuple(_monitors(cells, labels, look)),
        similarities=tuple(similarity_charts(looked_at, labels)),
        pictures=pictures,
        scores=tuple(score_rows(numbered, series, folders)),
        troubles=tuple(troubles(numbered, series)),
        cells=cells,
    )


def _cells(
    runs: Sequence[Run], numbered: pd.DataFrame, series: Sequence[Series]
) -> Iterator[tuple[Run, Series, CellResult]]:
    """Each result with its series, in the order of the frame."""
    results = {(run.name, result.key): (run, result) for run in runs for result in run.results}
    rows = numbered[["run", "cell", "series"]].drop_duplicates().sort_values("series", kind="stable")
    for name, key, index in rows.itertuples(index=False, name=None):
        run, result = results[name, key]
        yield run, series[index], result


def _cost_charts(
    compared: Sequence[Comparison], trained: Mapping[str, Costs], look: dict[int, Look]
) -> Iterator[Drawing]:
    """Scores against seconds and FLOPs; where few methods have both, the leading score against seconds alone.

    Of a source that is judged on itself and on others, on itself: training cost the same.
    """
    home = {comparison.source for comparison in compared if comparison.source == comparison.target}
    for comparison in compared:
        costs = trained.get(comparison.source)
        if costs is None or (comparison.source != comparison.target and comparison.source in home):
            continue
        name = slug(f"cost-{comparison.source}-{comparison.target}")
        drawings = [
            compute_chart(comparison, index, costs, look, slug(f"{name}-{comparison.columns[index].name}"))
            for index in worth_drawing(comparison, costs)
        ]
        yield from filter(None, drawings or [cost_chart(comparison, costs, look, name)])


def _sweeps(cells: Sequence[tuple[Run, Series, CellResult]], compared: Sequence[Comparison]) -> Iterator[Drawing]:
    """For each comparison and setting, the scores that tell a better series from a worse one."""
    for comparison in compared:
        rows = {row.series.index: row for row in comparison.rows}
        for sweep in sweeps((one, result) for _, one, result in cells if one.index in rows):
            for i, column in enumerate(comparison.columns):
                entries = {index: row.entries[i] for index, row in rows.items()}
                about = (sweep.setting, column.name, comparison.source, comparison.target)
                name = slug("-".join(["sweep", *about]))
                drawing = sweep_chart(sweep, column, entries, comparison.title, name) if column.teaches else None
                if drawing:
                    yield drawing


def _curves(
    cells: Sequence[tuple[Run, Series, CellResult]], labels: dict[str, str], look: dict[int, Look]
) -> Iterator[Drawing]:
    found: dict[tuple[int, str], list[tuple[int, TrainingResult]]] = {}
    names = {one.index: one.label for _, one, _ in cells}
    sources = {str(result.cell.source) for _, _, result in cells}
    for _, one, result in cells:
        if result.training.curve:
            source = labels.get(str(result.cell.source), str(result.cell.source))
            found.setdefault((one.index, source), []).append((result.cell.seed, result.training))
    for (index, source), trained in found.items():
        title = names[index] + (f" on {source}" if len(sources) > 1 else "")
        name = slug(f"curve-{index}-{title}")
        curves = [(seed, training.curve) for seed, training in sorted(trained, key=lambda one: one[0])]
        yield curve_panel(curves, trained[0][1].counted, look[index], name, title=title, series=index)


def _monitors(
    cells: Sequence[tuple[Run, Series, CellResult]], labels: dict[str, str], look: dict[int, Look]
) -> Iterator[Drawing]:
    """For each source, what the online monitor saw of the cells that it was asked for."""
    found: dict[str, dict[int, tuple[Series, list[TrainingResult]]]] = {}
    for _, one, result in cells:
        if result.training.monitor:
            source = labels.get(str(result.cell.source), str(result.cell.source))
            found.setdefault(source, {}).setdefault(one.index, (one, []))[1].append(result.training)
    for source, lines in found.items():
        drawn = [(one, [training.monitor for training in trained]) for one, trained in lines.values()]
        counted = next(iter(lines.values()))[1][0].counted
        yield monitor_chart(drawn, counted, source, look, slug(f"monitor-{source}"))


def provenance_of(content: Content) -> tuple[dict[str, str], dict[tuple[str, str], dict[str, str]]]:
    """Provenance that all cells share, and for each (run, cell) what is its own."""
    columns = [c for c in content.frame.columns if c.startswith(PROVENANCE)]
    by_cell = content.frame.groupby(["run", "cell"], sort=False)[columns].first()
    constant = [column for column in columns if by_cell[column].nunique() == 1]
    shared = {column.removeprefix(PROVENANCE): by_cell[column].iloc[0] for column in constant}
    own = [column for column in columns if column.removeprefix(PROVENANCE) not in shared]
    names = [column.removeprefix(PROVENANCE) for column in own]
    # by tuples: to_dict("records") of no columns has no rows before pandas 3.1
    return shared, {
        key: {name: value for name, value in zip(names, values, strict=True) if value}
        for key, *values in by_cell[own].itertuples(name=None)
    }
