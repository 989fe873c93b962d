"""Rows for what was not run, or not to its end: the reason stands where the scores would."""

from __future__ import annotations

from collections.abc import Iterable

from harness.records import CellResult, CellTask, EvaluationResult, EvaluationTask, Status, TrainingResult


def unjudged(task: CellTask, training: TrainingResult) -> Iterable[EvaluationResult]:
    """A row for each evaluation of a cell whose training gave nothing to judge."""
    reason = training.reason if training.status == "skipped" else f"not trained: {training.reason}"
    for todo in task.todo:
        yield outcome(todo, training.status, reason)


def failed(task: CellTask, reason: str) -> CellResult:
    """The result of a cell whose process gave none; what is known of its training is kept."""
    training = task.training or TrainingResult(status="failed", reason=reason)
    rows = unjudged(task, TrainingResult(status="failed", reason=reason))
    return CellResult.without_process(task, training, rows)


def outcome(
    todo: EvaluationTask, status: Status, reason: str, *, seconds: float = 0.0, note: str = ""
) -> EvaluationResult:
    """The row of an evaluation without scores."""
    return EvaluationResult(
        target=str(todo.target),
        evaluation=str(todo.evaluation),
        status=status,
        key=todo.key,
        reason=reason,
        seconds=seconds,
        note=note,
        labels=todo.labels,
    )
