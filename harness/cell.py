"""One cell, from its task to its result: build, train or load, freeze, judge. It runs in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from harness.judge import judge
from harness.outcomes import unjudged
from harness.pretraining import Report, prepare_process, pretrained
from harness.records import CellResult, CellTask, TrainingResult, Workplace
from harness.registry import Registry


def run_cell(
    task: CellTask, workplace: Workplace, report: Report, trained: Callable[[TrainingResult], None]
) -> CellResult:
    """Carry out a task. What fails inside becomes a `failed` row with its reason; only a crash gets past this.

    Weights and pictures lie in `workplace.staging`, and the pictures of the result are named as seen from there.
    `trained` is told when training is done and its weights are written, so that a crash in judging does not lose it.
    """
    prepare_process(task.cell)
    registry = Registry()
    for file in workplace.plugin_files:
        registry.load_file(file)
    report("loading", 0.0, {})
    method, source, training = pretrained(task, workplace, registry, report)
    if training.status == "ok" and method is not None and source is not None:
        trained(training)
        judged = replace(task, training=training)
        evaluations = tuple(judge(judged, workplace, registry, method, source, report))
    else:
        evaluations = tuple(unjudged(task, training))
    return CellResult(
        key=task.key,
        cell=task.cell,
        identity=task.identity,
        provenance=task.provenance,
        training=training,
        evaluations=evaluations,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
