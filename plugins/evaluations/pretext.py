"""The pretext task's own accuracy on examples that the method did not learn from, against guessing.

Every question that the method poses on the test split counts: all four turns of each image for rotation, one
permutation of each image for jigsaw. It says how well the task was learnt, not how good the representation is.

Chance is the better of two guesses without looking: any answer, or always the commonest one.

N rows, M questions, K answers; K may differ from batch to batch (negatives of the same batch).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from harness.data.batches import batch_of
from harness.metrics.classification import accuracy, majority_share
from harness.plugin import (
    ANY,
    EvaluationSpec,
    NoConfig,
    NotApplicable,
    Rows,
    ScoreSpec,
    ScoreValue,
    Subject,
    TrainingFailed,
    hookimpl,
)
from harness.precision import autocast

BATCH = 256  # examples posed at once
SURPRISING = 5.0  # standard errors above the mean of 1/K, from which the commonest answer is no accident


def run(subject: Subject, config: NoConfig) -> dict[str, ScoreValue]:
    if "labels" in subject.uses and subject.target.spec.classes != subject.source.spec.classes:
        raise NotApplicable(
            f"its questions are about the classes of {subject.source.name}, {subject.target.name} has others"
        )
    given, right, answers = posed(subject, subject.seen("test"))
    chance, note = guessing(right, answers)
    return {"accuracy": ScoreValue(value=accuracy(given, right), n=len(right), chance=chance, note=note)}


def guessing(right: Tensor, answers: Tensor) -> tuple[float, str]:
    """How often a guess is right, and of what: questions (M,) with their right answers, and among how many (M,).

    The better of two guesses that look at no image: any answer, which is right with the mean of 1/K, and always the
    same one, which is right as often as that is the answer. Of answers that are drawn alike the commonest is a little
    above 1/K too, but nobody could know which: so much counts for nothing.
    """
    n, fewest, most = len(right), int(answers.min()), int(answers.max())
    note = f"{n} questions with {most if fewest == most else f'{fewest} to {most}'} answers each"
    any_answer = 1 / most if fewest == most else float(answers.double().reciprocal().mean())
    commonest = majority_share(right)
    drawn_alike = any_answer + SURPRISING * (any_answer * (1 - any_answer) / n) ** 0.5
    if commonest <= drawn_alike:
        return any_answer, note
    return commonest, f"{note}; chance: always the commonest one, which is right for {commonest:.3f} of them"


def posed(subject: Subject, rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
    """The answers given to questions about the rows, the right ones, and among how many: int64 (M,) each.

    Methods draw their questions from torch's global generators: these are seeded for this purpose, then restored.
    """
    devices = [subject.device] if subject.device.type == "cuda" else []
    seed = int(torch.randint(2**62, (), generator=subject.generator("pretext questions")))
    given, right, answers = [], [], []
    with torch.random.fork_rng(devices), torch.no_grad(), autocast(subject.device, subject.cell.precision):
        torch.manual_seed(seed)
        for index in torch.arange(len(rows)).split(BATCH):
            batch = replace(batch_of(rows.rows(index).to(subject.device), subject.spec), progress=1.0)
            logits, targets = subject.method.solve(batch)
            _check(logits, targets)
            given.append(logits.argmax(1).cpu())
            right.append(targets.cpu())
            answers.append(torch.full_like(right[-1], logits.shape[1]))
    return torch.cat(given), torch.cat(right), torch.cat(answers)


def _check(logits: Tensor, targets: Tensor) -> None:
    if logits.ndim != 2 or targets.shape != logits.shape[:1] or logits.shape[1] < 2:
        shapes = f"{tuple(logits.shape)} and {tuple(targets.shape)}"
        raise TrainingFailed(f"solve() gave {shapes}, expected logits (M,K) and targets (M,) with at least 2 answers")
    if not torch.isfinite(logits).all():
        raise TrainingFailed("solve() gave logits that are not finite")


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="pretext",
        run=run,
        takes=ANY,
        needs=("solve",),
        source="the accuracy that papers on pretext tasks report beside the transfer, e.g. arXiv:1803.07728",
        scores=(
            ScoreSpec(
                name="accuracy",
                unit="fraction",
                better="higher",
                low=0.0,
                high=1.0,
                primary=True,
                role="told",
                proportion=True,
                help="Fraction of the task's questions about test images that are answered rightly; chance: mean 1/K, "
                "or the share of the commonest answer where answers are not alike.",
            ),
        ),
    )
