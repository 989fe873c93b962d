"""What is done where a cell runs, whichever launcher brought it there: a task as JSON in, a result as JSON out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.records import Workplace

News = Callable[[str, float, dict[str, float]], None]  # (stage, fraction of it done, latest scalars)


def _unheard(row: bytes) -> None:
    """Rows come with the result, too."""


def work(
    task: bytes,
    workplace: Workplace,
    news: News,
    trained: Callable[[bytes], None],
    judged: Callable[[bytes], None] = _unheard,
    *,
    hand_over: bool = False,
) -> bytes:
    """Carry out a task in this process, which should have nothing else to do: it sets threads and kernels for itself.

    `trained` gets the TrainingResult as JSON as soon as the weights are in `workplace.staging`, so that a crash in
    judging does not lose the training; `judged` gets each EvaluationResult as JSON when it is known, in the
    task's order, so that a crash in one evaluation loses no other. With `hand_over`, the result may have the rows of
    the first evaluations alone: those that are left want a process that no code of others has been in, with the
    weights in `workplace.staging`. Without it, all are judged here, after everything was loaded again.
    """
    from harness.cell import run_cell
    from harness.store import dump_evaluation, dump_result, dump_training, load_task

    result = run_cell(
        load_task(task),
        workplace,
        news,
        lambda training: trained(dump_training(training)),
        lambda row: judged(dump_evaluation(row)),
        hand_over=hand_over,
    )
    return dump_result(result)
