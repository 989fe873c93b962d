"""A trained method judged: one subject for each target, one row for each evaluation of it."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from harness.building import build_backbone, build_method, information, load_dataset
from harness.data.rows import Dataset, read_as
from harness.errors import HarnessError, NotApplicable, TrainingFailed
from harness.examples import checked, write_examples
from harness.judging.made import Made
from harness.judging.subject import Subject
from harness.judging.watch import Watch
from harness.labels import Labels
from harness.measured import check_picture, measured, scores_of
from harness.outcomes import outcome
from harness.plugin.capabilities import CAPABILITIES, capabilities_of
from harness.plugin.launching import WEIGHTS
from harness.plugin.specs import EvaluationSpec
from harness.pretraining import Report, load_strangers
from harness.reasons import reason_of
from harness.records import (
    CellTask,
    EvaluationResult,
    EvaluationTask,
    Picture,
    PluginRef,
    ScoreValue,
    Workplace,
    as_trained,
    judged_by,
)
from harness.registry import Registry
from harness.registry.chosen import Chosen
from harness.seeding import seed_everything
from harness.weights import save_weights


class Judging:
    """The evaluations of a task, in their order, for as long as they may share a process.

    ours: the settings that each of them starts with (`harness.settings`).
    """

    def __init__(
        self,
        task: CellTask,
        workplace: Workplace,
        registry: Registry,
        method: nn.Module,
        source: Dataset,
        report: Report,
        ours: Mapping[str, Any],
    ) -> None:
        self.task = task
        self.workplace = workplace
        self.registry = registry
        self.method = method
        self.source = source
        self.report = report
        self.watch = Watch(ours)
        known = task.training.weights if task.training else ""
        again = partial(save_weights, method, workplace.staging / WEIGHTS)
        self.made = Made(workplace.staging, known, again)
        self.subjects: dict[str, Subject | NotApplicable | str] = {}
        self.fitted: dict[tuple[str, str], Subject | NotApplicable | str] = {}  # with the part of the labels
        self.strangers: set[str] = set()  # whose code was loaded here since training

    def rows(self) -> Iterable[EvaluationResult]:
        """One row for each; fewer where those that are left want a process, or a method and data, that nothing of
        what was judged has been near: code of others that they do not need, or what an evaluation left behind.
        """
        for index, todo in enumerate(self.task.todo):
            if todo.unfit:
                yield outcome(todo, "skipped", todo.unfit)
                continue
            if self.watch.unsettled or not self.strangers <= set(todo.strangers):
                return
            self.report(str(todo.evaluation.name), index / len(self.task.todo), {})
            self.strangers |= set(todo.strangers)
            yield self._row(todo)

    def undo(self) -> None:
        """What can be undone of what was left behind, for a process that goes on."""
        self.watch.undo()

    def _row(self, todo: EvaluationTask) -> EvaluationResult:
        try:
            load_strangers(todo.strangers, self.workplace, self.registry)
            judge = self.registry.chosen(todo.evaluation, ("evaluation",))
        except HarnessError as error:
            return outcome(todo, "failed", reason_of(error))
        label = str(todo.target)
        if label not in self.subjects:
            self.subjects[label] = self._shared(
                _subject(self.task, self.workplace, self.registry, todo.target, self.method, self.source)
            )
        if (label, todo.labels) not in self.fitted:
            self.fitted[label, todo.labels] = self._shared(_with_labels(self.subjects[label], todo.labels))
        subject = self.fitted[label, todo.labels]
        if isinstance(subject, NotApplicable):
            return outcome(todo, "skipped", str(subject))
        if isinstance(subject, str):
            return outcome(todo, "failed", subject)
        self.watch.begin(subject, strange=bool(todo.strangers))
        if todo.strangers:
            self.made.begin(self.workplace.staging / _folder_name(todo))
        row = evaluate(subject, judge, todo, self.workplace.staging)
        left = self.watch.found(subject)
        if todo.strangers and (changed := self.made.changed()):
            self.watch.unsettled = True
            left = " and ".join(filter(None, (left, f"changed files of its cell: {', '.join(changed)}")))
        if not left:
            return row
        reason = f"it {left}; {row.reason}" if row.reason else f"it {left}"
        return replace(row, status="failed", reason=reason, scores=(), pictures=(), examples="")

    def _shared(self, subject: Subject | NotApplicable | str) -> Subject | NotApplicable | str:
        if isinstance(subject, Subject):
            self.watch.share(subject)
        return subject


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

        seed_everything(task.cell.seed, "loading", target.name)  # whatever was judged before
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


def evaluate(subject: Subject, judge: Chosen, todo: EvaluationTask, staging: Path) -> EvaluationResult:
    """One evaluation of one subject: ok with its scores, skipped with the reason, or failed with the error."""
    started = time.perf_counter()
    subject.begin(staging / _folder_name(todo), todo.others)
    try:
        spec: EvaluationSpec = judge.spec
        lacking = missing_need(spec, subject)
        if lacking:
            return outcome(todo, "skipped", lacking, note=subject.note)
        seed_everything(subject.cell.seed, "evaluation", spec.name, subject.target.name)
        values = measured(spec, spec.run(subject, judge.config))
        scores = scores_of(spec, values, len(subject.target.test))
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
    outcomes = {name: checked(name, value, len(test)) for name, value in values.items()}
    known = {name: found for name, found in outcomes.items() if found is not None}
    return write_examples(folder, known, test.labels).relative_to(staging).as_posix() if known else ""


def _seen_from(staging: Path, picture: Picture, labels: str) -> Picture:
    """A picture whose file is named so that it is found wherever the staging folder goes, and that says its labels."""
    if not Path(picture.file).is_relative_to(staging):
        raise TrainingFailed(f"picture '{picture.name}' is not in the folder of its cell: use the subject's show_...()")
    check_picture(picture)
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


def _folder_name(todo: EvaluationTask) -> str:
    return f"{todo.target.name}-{todo.evaluation.name}-{todo.key}".replace("/", "_").replace(":", "_")
