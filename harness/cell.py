"""One cell, from its task to its result: build, train or load, freeze, judge. It runs in a process of its own."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

import threadpoolctl
import torch
from torch import nn

from harness.capabilities import CAPABILITIES, capabilities_of
from harness.config import resolve
from harness.data import catalog
from harness.data.images import ImageDataset, matched
from harness.diagnosis import check_training
from harness.errors import NotApplicable, TrainingFailed
from harness.records import (
    Cell,
    CellResult,
    CellTask,
    EvaluationResult,
    EvaluationTask,
    ImageSpec,
    Information,
    PluginRef,
    Score,
    ScoreValue,
    TrainingResult,
)
from harness.registry import METHOD_KINDS, Registry
from harness.seeding import seed_everything
from harness.specs import EvaluationSpec
from harness.subject import Subject
from harness.trainer import train

Report = Callable[[str, float, dict[str, float]], None]  # (stage, fraction of it done, latest scalars)


def run_cell(task: CellTask, report: Report, trained: Callable[[TrainingResult], None]) -> CellResult:
    """Carry out a task. What fails inside becomes a `failed` row with its reason; only a crash gets past this.

    `trained` is told when training is done and its weights are written, so that a crash in judging does not lose it.
    """
    prepare_process(task.cell)
    registry = Registry()
    for file in task.plugin_files:
        registry.load_file(Path(file))
    report("loading", 0.0, {})
    method, source, training = _trained(task, registry, report)
    if training.status == "ok" and method is not None and source is not None:
        trained(training)
        evaluations = tuple(_judge(task, registry, method, source, report))
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


def unjudged(task: CellTask, training: TrainingResult) -> Iterable[EvaluationResult]:
    """A row for each evaluation of a cell whose training gave nothing to judge."""
    reason = training.reason if training.status == "skipped" else f"not trained: {training.reason}"
    for todo in task.todo:
        yield _outcome(todo, training.status, reason)


def prepare_process(cell: Cell) -> None:
    """Fix what floating-point results depend on: threads, deterministic kernels, denormals."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(cell.threads)
    if os.environ.get("OMP_NUM_THREADS") != str(cell.threads):  # else the pools have read their size from there
        threadpoolctl.threadpool_limits(cell.threads)
    torch.set_flush_denormal(True)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)


def build_method(registry: Registry, cell: Cell, spec: ImageSpec) -> nn.Module:
    """The untrained method of a cell, for images like `spec`. The backbone's weights depend on the seed alone."""
    plugin = registry.load(cell.method.name, METHOD_KINDS)
    backbone = None
    if cell.backbone is not None:
        encoder = registry.load(cell.backbone.name, ("backbone",)).spec
        seed_everything(cell.seed, "initialisation", "backbone")
        backbone = encoder.build(spec, resolve(encoder.config, cell.backbone.params, cell.backbone.name))
    seed_everything(cell.seed, "initialisation", cell.method.name)
    config = resolve(plugin.spec.config, cell.method.params, cell.method.name)
    method = plugin.spec.build(backbone, spec, config)
    return method.to(memory_format=torch.channels_last)


def information(registry: Registry, cell: Cell) -> tuple[Information, ...]:
    """What the method of a cell sees in training beside images."""
    spec = registry.load(cell.method.name, METHOD_KINDS).spec
    return spec.uses_with(resolve(spec.config, cell.method.params, cell.method.name))


def load_dataset(registry: Registry, ref: PluginRef, root: str, seed: int) -> ImageDataset:
    """A dataset with the splits of `seed`."""
    spec = registry.load(ref.name, ("dataset",)).spec
    return catalog.load(spec, resolve(spec.config, ref.params, ref.name), Path(root), seed)


# Training. ------------------------------------------------------------------------------------------------------------


def _trained(
    task: CellTask, registry: Registry, report: Report
) -> tuple[nn.Module | None, ImageDataset | None, TrainingResult]:
    cell = task.cell
    try:
        source = load_dataset(registry, cell.source, task.data_root, cell.seed)
        method = build_method(registry, cell, source.spec).to(cell.device)
        if task.training is not None:
            _load_weights(method, Path(task.checkpoint))
            return method, source, task.training
        training = train(
            method,
            source.pretraining(information(registry, cell)).to(cell.device),
            cell.train,
            cell.budget,
            seed=cell.seed,
            precision=cell.precision,
            progress=lambda done, scalars: report("training", done, scalars),
        )
        _save_weights(method, Path(task.staging) / "method.safetensors")
        check_training(method, source, steps=training.steps, seed=cell.seed, device=cell.device)
        return method, source, training
    except NotApplicable as reason:
        return None, None, TrainingResult(status="skipped", reason=str(reason))
    except Exception as error:
        traceback.print_exc()  # into the cell's log
        return None, None, TrainingResult(status="failed", reason=_reason(error), traceback=traceback.format_exc())


def _save_weights(method: nn.Module, file: Path) -> None:
    from safetensors.torch import save_model

    if method.state_dict():
        file.parent.mkdir(parents=True, exist_ok=True)
        save_model(method, str(file))


def _load_weights(method: nn.Module, file: Path) -> None:
    from safetensors.torch import load_model

    if method.state_dict():
        load_model(method, str(file))


def _reason(error: BaseException) -> str:
    """One line: the message of our own errors, the type as well for all others."""
    message = " ".join(str(error).split()) or "no message"
    return message if isinstance(error, TrainingFailed) else f"{type(error).__name__}: {message}"


# Judging. -------------------------------------------------------------------------------------------------------------


def _judge(
    task: CellTask, registry: Registry, method: nn.Module, source: ImageDataset, report: Report
) -> Iterable[EvaluationResult]:
    subjects: dict[str, Subject | Exception] = {}
    for index, todo in enumerate(task.todo):
        report(str(todo.evaluation.name), index / len(task.todo), {})
        label = str(todo.target)
        if label not in subjects:
            subjects[label] = _subject(task, registry, todo.target, method, source)
        subject = subjects[label]
        if isinstance(subject, Exception):
            yield _outcome(todo, "failed", f"target not loaded: {_reason(subject)}")
        else:
            yield evaluate(subject, registry, todo, Path(task.staging))


def _subject(
    task: CellTask, registry: Registry, target: PluginRef, method: nn.Module, source: ImageDataset
) -> Subject | Exception:
    try:
        same = str(target) == str(task.cell.source)
        data = source if same else load_dataset(registry, target, task.data_root, task.cell.seed)
        return Subject(
            method=method,
            cell=task.cell,
            source=source,
            learned_from=source.pretraining(information(registry, task.cell)),
            target=matched(data, source.spec),
            artifacts=Path(task.staging),
            cache=Path(task.cache),
            fingerprint=task.fingerprints.get(str(target), ""),
        )
    except Exception as error:
        traceback.print_exc()
        return error


def evaluate(subject: Subject, registry: Registry, todo: EvaluationTask, staging: Path) -> EvaluationResult:
    """One evaluation of one subject: ok with its scores, skipped with the reason, or failed with the error."""
    started = time.perf_counter()
    subject.begin(staging / _folder_name(todo))
    try:
        spec: EvaluationSpec = registry.load(todo.evaluation.name, ("evaluation",)).spec
        lacking = missing_need(spec, subject)
        if lacking:
            return _outcome(todo, "skipped", lacking, note=subject.note)
        config: Any = resolve(spec.config, todo.evaluation.params, todo.evaluation.name)
        seed_everything(subject.cell.seed, "evaluation", spec.name, subject.target.name)
        scores = _scores(spec, spec.run(subject, config), len(subject.target.test))
    except NotApplicable as reason:
        return _outcome(todo, "skipped", str(reason), note=subject.note)
    except Exception as error:
        traceback.print_exc()
        print(f"while judging {subject.cell.title} by {todo.evaluation}", file=sys.stderr)
        return _outcome(todo, "failed", _reason(error), seconds=time.perf_counter() - started)
    return replace(
        _outcome(todo, "ok", "", seconds=time.perf_counter() - started, note=subject.note),
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


def _outcome(
    todo: EvaluationTask, status: Any, reason: str, *, seconds: float = 0.0, note: str = ""
) -> EvaluationResult:
    return EvaluationResult(
        target=str(todo.target),
        evaluation=str(todo.evaluation),
        status=status,
        key=todo.key,
        reason=reason,
        seconds=seconds,
        note=note,
    )


def _folder_name(todo: EvaluationTask) -> str:
    return f"{todo.target.name}-{todo.evaluation.name}-{todo.key}".replace("/", "_").replace(":", "_")
