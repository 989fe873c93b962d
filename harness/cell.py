"""One cell, from its task to its result: build, train or load, freeze, judge. It runs in a process of its own."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from harness import settings
from harness.bounds import LONGEST_REASON, bounded_row, bounded_training, cut
from harness.judge import Judging
from harness.last_words import LOGGED
from harness.outcomes import unjudged
from harness.plugin.launching import WEIGHTS
from harness.pretraining import Report, prepare_process, pretrained
from harness.records import CellResult, CellTask, EvaluationResult, TrainingResult, Workplace
from harness.registry import Registry
from harness.store import dump_evaluation, load_evaluation


def run_cell(
    task: CellTask,
    workplace: Workplace,
    report: Report,
    trained: Callable[[TrainingResult], None],
    judged: Callable[[EvaluationResult], None] = lambda row: None,
    *,
    hand_over: bool = False,
) -> CellResult:
    """Carry out a task. What fails inside becomes a `failed` row with its reason; only a crash gets past this.

    Weights and pictures lie in `workplace.staging`, and the pictures of the result are named as seen from there.
    `trained` is told when training is done and its weights are written, so that a crash in judging does not lose it;
    `judged` is told each row when it is known. With `hand_over`, the last evaluations of the task may be missing: what
    was judged before them leaves a process that they should not be judged in.
    """
    prepare_process(task.cell)
    ours = settings.kept()
    registry = Registry(undoing=settings.undone)
    report("loading", 0.0, {})
    method, source, training = pretrained(task, workplace, registry, report)
    training = bounded_training(training)
    rows: list[EvaluationResult] = []
    if training.status != "ok" or method is None or source is None:
        return _result(task, training, unjudged(task, training))
    trained(training)
    loaded = workplace
    if task.training is None:
        kept = workplace.staging / WEIGHTS
        loaded = replace(workplace, checkpoint=kept, checkpoint_sum=training.weights)
    settings.changed(ours)  # what the method set while it trained: a method that is loaded sets nothing
    while True:
        left = replace(task, training=training, todo=task.todo[len(rows) :])
        judging = Judging(left, workplace, registry, method, source, report, ours)
        for row in judging.rows():
            rows.append(_storable(bounded_row(row, workplace.staging)))
            judged(rows[-1])
            if row.status == "failed":  # its words are not those of the next
                print(f"{LOGGED}{row.title} on {row.target} failed", file=sys.stderr)
        if len(rows) == len(task.todo) or hand_over:
            return _result(task, training, rows)
        judging.undo()
        method, source, again = pretrained(left, loaded, registry, report)
        if method is None or source is None:
            rest = replace(task, todo=task.todo[len(rows) :])
            return _result(task, training, [*rows, *unjudged(rest, again)])


def _result(task: CellTask, training: TrainingResult, rows: Iterable[EvaluationResult]) -> CellResult:
    return CellResult(
        key=task.key,
        cell=task.cell,
        identity=task.identity,
        provenance=task.provenance,
        training=training,
        evaluations=tuple(rows),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _storable(row: EvaluationResult) -> EvaluationResult:
    """The row, or a failed one where a plugin put into it what no file keeps: a text for a count, say."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what pydantic says of a value that reading takes all the same
            load_evaluation(dump_evaluation(row))
    except (ValueError, TypeError) as error:
        reason = cut(" ".join(f"it gave what cannot be stored: {error}".split()), LONGEST_REASON)
        return replace(row, status="failed", reason=reason, scores=(), pictures=(), note="", examples="")
    return row
