"""A trained method judged: one subject for each target, one row for each evaluation of it."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

from torch import nn

from harness.building import build_backbone, build_method, information, load_dataset
from harness.data.rows import Dataset, read_as
from harness.errors import NotApplicable, TrainingFailed
from harness.examples import checked, write_examples
from harness.judging.subject import Subject
from harness.labels import Labels
from harness.outcomes import outcome
from harness.plugin.capabilities import CAPABILITIES, capabilities_of
from harness.plugin.specs import EvaluationSpec
from harness.pretraining import Report
from harness.reasons import reason_of
from harness.records import (
    CellTask,
    EvaluationResult,
    EvaluationTask,
    Picture,
    PluginRef,
    Score,
    ScoreValue,
    Workplace,
    as_trained,
    judged_by,
)
from harness.registry import Registry
from harness.seeding import seed_everything


def judge(
    task: CellTask, workplace: Workplace, registry: Registry, method: nn.Module, source: Dataset, report: Report
) -> Iterable[EvaluationResult]:
    subjects: dict[str, Subject | NotApplicable | str] = {}
    fitted: dict[tuple[str, str], Subject | NotApplicable | str] = {}  # with the part of the labels that is fitted to
    for index, todo in enumerate(task.todo):
        if todo.unfit:
            yield outcome(todo, "skipped", todo.unfit)
            continue
        report(str(todo.evaluation.name), index / len(task.todo), {})
        label = str(todo.target)
        if label not in subjects:
            subjects[label] = _subject(task, workplace, registry, todo.target, method, source)
        if (label, todo.labels) not in fitted:
            fitted[label, todo.labels] = _with_labels(subjects[label], todo.labels)
        subject = fitted[label, todo.labels]
        if isinstance(subject, NotApplicable):
            yield outcome(todo, "skipped", str(subject))
        elif isinstance(subject, str):
            yield outcome(todo, "failed", subject)
        else:
            yield evaluate(subject, registry, todo, workplace.staging)


def _subject(
    task: CellTask, workplace: Workplace, registry: Registry, target: PluginRef, method: nn.Module, source: Dataset
) -> Subject | NotApplicable | str:
    """What evaluations of this target get, or why they make no sense, or why there is nothing to judge."""
    stage = "target not loaded"
    try:

        def read(ref: PluginRef) -> Dataset:
            if str(ref) == str(task.cell.source):
                return source
            return read_as(load_dataset(registry, ref, workplace.data_root, task.cell.seed), source.spec)

        data = read(target)
        stage = "method not frozen"
        uses = information(registry, task.cell)
        return Subject(
            method=method,
            cell=task.cell if task.training is None else as_trained(task.cell, task.training),
            source=source,
            learned_from=source.pretraining(uses, validation=task.cell.train.validation),
            uses=uses,
            target=data,
            artifacts=workplace.staging,
            cache=workplace.cache,
            fingerprint=task.fingerprints.get(str(target), ""),
            read=read,
            untrained=lambda: build_method(registry, task.cell, source.spec),
            new_backbone=partial(build_backbone, registry, task.cell, source.spec),
        )
    except NotApplicable as reason:
        return reason
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        return f"{stage}: {reason_of(error)}"


def _with_labels(subject: Subject | NotApplicable | str, labels: str) -> Subject | NotApplicable | str:
    """The same with that part of the target's labels, or why there is no such part."""
    if not isinstance(subject, Subject) or not labels:
        return subject
    try:
        return subject.with_labels(Labels.parse(labels))
    except NotApplicable as reason:
        return reason


def evaluate(subject: Subject, registry: Registry, todo: EvaluationTask, staging: Path) -> EvaluationResult:
    """One evaluation of one subject: ok with its scores, skipped with the reason, or failed with the error."""
    started = time.perf_counter()
    subject.begin(staging / _folder_name(todo), todo.others)
    try:
        chosen = registry.chosen(todo.evaluation, ("evaluation",))
        spec: EvaluationSpec = chosen.spec
        lacking = missing_need(spec, subject)
        if lacking:
            return outcome(todo, "skipped", lacking, note=subject.note)
        seed_everything(subject.cell.seed, "evaluation", spec.name, subject.target.name)
        values = _measured(spec, spec.run(subject, chosen.config))
        scores = _scores(spec, values, len(subject.target.test))
        examples = _examples(subject, values, staging / _folder_name(todo), staging)
        pictures = tuple(_seen_from(staging, picture, todo.labels) for picture in subject.pictures)
    except NotApplicable as reason:
        return outcome(todo, "skipped", str(reason), note=subject.note)
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # a plugin that ends the process ends its evaluation
        traceback.print_exc()
        print(f"while judging {subject.cell.title} by {todo.evaluation}", file=sys.stderr)
        return outcome(todo, "failed", reason_of(error), seconds=time.perf_counter() - started)
    return replace(
        outcome(todo, "ok", "", seconds=time.perf_counter() - started, note=subject.note),
        scores=scores,
        pictures=pictures,
        examples=examples,
    )


def _examples(subject: Subject, values: dict[str, ScoreValue], folder: Path, staging: Path) -> str:
    """Keep what each test example got, where scores say it; the file as it is seen from the staging folder, or ""."""
    test = subject.target.test
    outcomes = {name: checked(name, measured, len(test)) for name, measured in values.items()}
    known = {name: found for name, found in outcomes.items() if found is not None}
    return write_examples(folder, known, test.labels).relative_to(staging).as_posix() if known else ""


def _seen_from(staging: Path, picture: Picture, labels: str) -> Picture:
    """A picture whose file is named so that it is found wherever the staging folder goes, and that says its labels."""
    if not Path(picture.file).is_relative_to(staging):
        raise TrainingFailed(f"picture '{picture.name}' is not in the folder of its cell: use the subject's show_...()")
    caption = judged_by(picture.caption, labels)
    return replace(picture, caption=caption, file=Path(picture.file).relative_to(staging).as_posix())


def missing_need(spec: EvaluationSpec, subject: Subject) -> str:
    """Why this evaluation does not apply, or nothing."""
    able = capabilities_of(subject.method)
    for need in spec.needs:
        if need == "labels":
            if not subject.target.spec.classes:
                return f"{subject.target.name} has no labels"
        elif need in ("masks", "targets"):
            continue  # the plan has asked the description of the target
        elif need not in able:
            return f"{subject.cell.method.name} cannot {CAPABILITIES.get(need, need)}"
    return ""


def _measured(spec: EvaluationSpec, values: Any) -> dict[str, ScoreValue]:
    """What an evaluation returned. Anything unpromised, and what is no number, is an error."""
    promised = {score.name for score in spec.scores}
    measured = {}
    for name, value in values.items():
        if name not in promised:
            raise TrainingFailed(f"evaluation '{spec.name}' returned a score '{name}' that it does not declare")
        measured[name] = value if isinstance(value, ScoreValue) else ScoreValue(value=float(value))
        if not isfinite(measured[name].value):
            raise TrainingFailed(f"{name} is not a finite number")
    return measured


def _scores(spec: EvaluationSpec, values: dict[str, ScoreValue], n: int) -> tuple[Score, ...]:
    """The values of an evaluation, with the specification of each."""
    known = {score.name: score for score in spec.scores}
    scores = []
    for name, measured in values.items():
        score = known[name]
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
                role=score.role,
                beside=score.beside,
                word=score.word,
                asks=score.asks,
                low=score.low,
                high=score.high,
                proportion=score.proportion,
            )
        )
    return tuple(scores)


def _folder_name(todo: EvaluationTask) -> str:
    return f"{todo.target.name}-{todo.evaluation.name}-{todo.key}".replace("/", "_").replace(":", "_")
