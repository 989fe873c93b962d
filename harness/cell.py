"""One cell, from its task to its result: build, train or load, freeze, judge. It runs in a process of its own."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from harness.bounds import LONGEST_REASON, bounded_row, bounded_training, cut
from harness.judge import judge
from harness.last_words import LOGGED
from harness.outcomes import unjudged
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
) -> CellResult:
    """Carry out a task. What fails inside becomes a `failed` row with its reason; only a crash gets past this.

    Weights and pictures lie in `workplace.staging`, and the pictures of the result are named as seen from there.
    `trained` is told when training is done and its weights are written, so that a crash in judging does not lose it;
    `judged` is told each row when it is known.
    """
    prepare_process(task.cell)
    registry = Registry()
    for file in workplace.plugin_files:
        registry.load_file(file)
    report("loading", 0.0, {})
    method, source, training = pretrained(task, workplace, registry, report)
    training = bounded_training(training)
    rows: list[EvaluationResult] = []
    if training.status == "ok" and method is not None and source is not None:
        trained(training)
        for row in judge(replace(task, training=training), workplace, registry, method, source, report):
            rows.append(_storable(bounded_row(row, workplace.staging)))
            judged(rows[-1])
            if row.status == "failed":
                print(
                    f"{LOGGED}{row.title} on {row.target} failed", file=sys.stderr
                )  # its words are not those of the next
    else:
        rows += unjudged(task, training)
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
