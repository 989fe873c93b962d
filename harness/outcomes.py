"""Rows for what was not run, or not to its end: the reason stands where the scores would."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from harness.data.fields import PLURALS, DataKind
from harness.errors import TrainingFailed
from harness.records import CellTask, EvaluationResult, EvaluationTask, Status, TrainingResult


def unjudged(task: CellTask, training: TrainingResult) -> Iterable[EvaluationResult]:
    """A row for each evaluation of a cell whose training gave nothing to judge."""
    reason = training.reason if training.status == "skipped" else f"not trained: {training.reason}"
    for todo in task.todo:
        yield outcome(todo, training.status, reason)


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
    )


def reason_of(error: BaseException) -> str:
    """One line: the message of our own errors, the type as well for all others."""
    message = " ".join(str(error).split()) or "no message"
    return message if isinstance(error, TrainingFailed) else f"{type(error).__name__}: {message}"


def cannot_take(
    name: str,
    verb: Literal["takes", "judges", "was trained on"],
    kinds: Sequence[DataKind],
    dataset: str,
    kind: DataKind,
) -> str:
    """Why `name` has nothing to do with a dataset of this kind; nothing, if its own `kinds` include that one.

    >>> cannot_take("fid", "judges", ("image",), "docstrings", "text")
    'fid judges images, docstrings holds texts'
    >>> cannot_take("knn", "judges", ("image", "video", "text"), "docstrings", "text")
    ''
    """
    if kind in kinds:
        return ""
    return f"{name} {verb} {' and '.join(PLURALS[own] for own in kinds)}, {dataset} holds {PLURALS[kind]}"
