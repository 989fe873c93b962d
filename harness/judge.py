"""A trained method judged: one subject for each target, one row for each evaluation of it."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

from torch import nn

from harness.building import information, load_dataset
from harness.data.rows import Dataset, read_as
from harness.errors import NotApplicable, TrainingFailed
from harness.judging.subject import Subject
from harness.outcomes import outcome
from harness.plugin.capabilities import CAPABILITIES, capabilities_of
from harness.plugin.specs import EvaluationSpec
from harness.reasons import reason_of
from harness.records import CellTask, EvaluationResult, EvaluationTask, PluginRef, Score, ScoreValue
from harness.registry import Registry
from harness.registry.config import resolve
from harness.seeding import seed_everything

Report = Callable[[str, float, dict[str, float]], None]  # (stage, fraction of it done, latest scalars)


def judge(
    task: CellTask, registry: Registry, method: nn.Module, source: Dataset, report: Report
) -> Iterable[EvaluationResult]:
    subjects: dict[str, Subject | str] = {}
    for index, todo in enumerate(task.todo):
        report(str(todo.evaluation.name), index / len(task.todo), {})
        label = str(todo.target)
        if label not in subjects:
            subjects[label] = _subject(task, registry, todo.target, method, source)
        subject = subjects[label]
        if isinstance(subject, str):
            yield outcome(todo, "failed", subject)
        else:
            yield evaluate(subject, registry, todo, Path(task.staging))


def _subject(
    task: CellTask, registry: Registry, target: PluginRef, method: nn.Module, source: Dataset
) -> Subject | str:
    """What evaluations of this target get, or why there is none."""
    stage = "target not loaded"
    try:
        same = str(target) == str(task.cell.source)
        data = source if same else load_dataset(registry, target, task.data_root, task.cell.seed)
        data = data if same else read_as(data, source.spec)
        stage = "method not frozen"
        uses = information(registry, task.cell)
        return Subject(
            method=method,
            cell=task.cell,
            source=source,
            learned_from=source.pretraining(uses),
            uses=uses,
            target=data,
            artifacts=Path(task.staging),
            cache=Path(task.cache),
            fingerprint=task.fingerprints.get(str(target), ""),
        )
    except Exception as error:
        traceback.print_exc()
        return f"{stage}: {reason_of(error)}"


def evaluate(subject: Subject, registry: Registry, todo: EvaluationTask, staging: Path) -> EvaluationResult:
    """One evaluation of one subject: ok with its scores, skipped with the reason, or failed with the error."""
    started = time.perf_counter()
    subject.begin(staging / _folder_name(todo))
    try:
        spec: EvaluationSpec = registry.load(todo.evaluation.name, ("evaluation",)).spec
        lacking = missing_need(spec, subject)
        if lacking:
            return outcome(todo, "skipped", lacking, note=subject.note)
        config: Any = resolve(spec.config, todo.evaluation.params, todo.evaluation.name)
        seed_everything(subject.cell.seed, "evaluation", spec.name, subject.target.name)
        scores = _scores(spec, spec.run(subject, config), len(subject.target.test))
    except NotApplicable as reason:
        return outcome(todo, "skipped", str(reason), note=subject.note)
    except Exception as error:
        traceback.print_exc()
        print(f"while judging {subject.cell.title} by {todo.evaluation}", file=sys.stderr)
        return outcome(todo, "failed", reason_of(error), seconds=time.perf_counter() - started)
    return replace(
        outcome(todo, "ok", "", seconds=time.perf_counter() - started, note=subject.note),
        scores=scores,
        pictures=tuple(subject.pictures),
    )


def missing_need(spec: EvaluationSpec, subject: Subject) -> str:
    """Why this evaluation does not apply, or nothing."""
    able = capabilities_of(subject.method)
    for need in spec.needs:
        if need == "labels":
            if not subject.target.spec.classes:
                return f"{subject.target.name} has no labels"
        elif need not in able:
            return f"{subject.cell.method.name} cannot {CAPABILITIES.get(need, need)}"
    return ""


def _scores(spec: EvaluationSpec, values: Any, n: int) -> tuple[Score, ...]:
    """The values that an evaluation returned, with the specification of each. Anything unpromised is an error."""
    known = {score.name: score for score in spec.scores}
    scores = []
    for name, value in values.items():
        if name not in known:
            raise TrainingFailed(f"evaluation '{spec.name}' returned a score '{name}' that it does not declare")
        score = known[name]
        measured = value if isinstance(value, ScoreValue) else ScoreValue(value=float(value))
        if not isfinite(measured.value):
            raise TrainingFailed(f"{name} is not a finite number")
        scores.append(
            Score(
                score=name,
                value=float(measured.value),
                unit=score.unit,
                better=score.better,
                primary=score.primary,
                chance=measured.chance,
                n=n if measured.n is None else measured.n,
                note=measured.note,
            )
        )
    return tuple(scores)


def _folder_name(todo: EvaluationTask) -> str:
    return f"{todo.target.name}-{todo.evaluation.name}-{todo.key}".replace("/", "_").replace(":", "_")
