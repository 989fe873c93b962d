"""The training of a cell: a prepared process, the method built, trained or loaded, and what it looked like meanwhile.

What stands behind this module is in the key of every trained cell (harness.keys); judging is behind another, so that a
better judge judges the weights that are kept.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import threadpoolctl
import torch
from torch import nn

from harness.allocation import keep_freed_memory
from harness.building import build_method, information, load_dataset
from harness.data.fields import DataSpec
from harness.data.rows import Dataset, Rows, read_as
from harness.errors import NotApplicable, TrainingFailed
from harness.judging.collapse import MOMENTS, CollapseWatch
from harness.judging.diagnosis import check_training
from harness.judging.monitor import Monitor
from harness.judging.observing import Encoder, Look, Moments, Observer
from harness.plugin.capabilities import capabilities_of
from harness.plugin.launching import WEIGHTS
from harness.reasons import reason_of
from harness.records import Cell, CellTask, Information, TrainingResult, Workplace
from harness.registry import Registry
from harness.sealed import file_checksum
from harness.snapshot import Unfit
from harness.state_file import discard
from harness.trainer import train
from harness.training_state import Found, Stateful, TrainingState, found_state
from harness.trial import Choice, chosen_precision, kept_choice
from harness.weights import load_weights, save_weights

Report = Callable[[str, float, dict[str, float]], None]  # (stage, fraction of it done, latest scalars)


def prepare_process(cell: Cell) -> None:
    """Fix what floating-point results depend on: threads, deterministic kernels, denormals. Freed memory is kept.

    Deterministic kernels come without torch's filling of new memory with NaN, which only helps code that reads what it
    has not written: 3 % of a bf16 step.
    """
    keep_freed_memory()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its pool would take every core, and warn of forks after it
    torch.set_num_threads(cell.threads)
    if os.environ.get("OMP_NUM_THREADS") != str(cell.threads):  # else the pools have read their size from there
        threadpoolctl.threadpool_limits(cell.threads)
    torch.set_flush_denormal(True)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def load_strangers(names: Iterable[str], workplace: Workplace, registry: Registry) -> None:
    """Load the unpackaged plugins among these, by the names of their files. Raises BrokenPlugin."""
    for file in workplace.plugin_files:
        if file.name in names:
            registry.load_file(file)


def pretrained(
    task: CellTask, workplace: Workplace, registry: Registry, report: Report
) -> tuple[nn.Module | None, Dataset | None, TrainingResult]:
    """The method of a task, trained or loaded, and its source; None where there is none, as the result says."""
    cell, training = task.cell, TrainingResult(status="failed")
    try:
        load_strangers(task.strangers, workplace, registry)
        source = load_dataset(registry, cell.source, workplace.data_root, cell.seed)
        source = read_as(source, source.spec)
        method = build_method(registry, cell, source.spec).to(cell.device)
        if task.training is not None:
            if method.state_dict():
                load_weights(method, _kept(workplace.checkpoint), workplace.checkpoint_sum)
            return method, source, task.training
        uses = information(registry, cell)
        rows = source.pretraining(uses, validation=cell.train.validation).to(cell.device)
        found, damage = found_state(workplace.state, task.key)
        choice = Choice(**found.told) if found else _precision(task, workplace, method, rows, source.spec, report)
        training = replace(training, precision=choice.precision)
        if found:
            report("training", found.done, {})
        trained = partial(_observed_training, task, workplace, source, rows, choice, uses, report)
        try:
            training = trained(method, found)
        except Unfit as error:
            damage = f"the state of its interrupted training does not fit ({error}): it was trained anew"
            method = build_method(registry, cell, source.spec).to(cell.device)
            training = trained(method, None)
        training = replace(training, note="; ".join(filter(None, (training.note, damage))))
        if method.state_dict():
            save_weights(method, workplace.staging / WEIGHTS)
            training = replace(training, weights=file_checksum(workplace.staging / WEIGHTS))
        check_training(method, source, steps=training.steps, seed=cell.seed, device=cell.device)
        return method, source, training
    except NotApplicable as reason:
        return None, None, TrainingResult(status="skipped", reason=str(reason))
    except Exception as error:
        traceback.print_exc()  # into the cell's log
        known = replace(training, **getattr(error, "so_far", {}))
        if workplace.state and getattr(error, "so_far", {}):  # diverged, collapsed: it would again
            discard(workplace.state.file)
        failed = replace(known, status="failed", reason=reason_of(error), traceback=traceback.format_exc())
        return None, None, failed


def _precision(
    task: CellTask, workplace: Workplace, method: nn.Module, rows: Rows, data: DataSpec, report: Report
) -> Choice:
    """What was asked for, or for `auto` what a trial on this machine finds faster, now or before."""
    if task.cell.precision != "auto":
        return Choice(task.cell.precision, "")
    report("fp32 or bf16", 0.0, {})
    trial = partial(chosen_precision, method, rows, data, task.cell.train, seed=task.cell.seed)
    choice = kept_choice(workplace.cache, task.identity, task.provenance, trial)
    print(choice.why)  # into the cell's log
    return choice


def _observed_training(
    task: CellTask,
    workplace: Workplace,
    source: Dataset,
    rows: Rows,
    choice: Choice,
    uses: tuple[Information, ...],
    report: Report,
    method: nn.Module,
    found: Found | None,
) -> TrainingResult:
    """Train, from where an interrupted training was if that is `found`, and look at the method meanwhile.

    For a collapse always, and as often as the task asks for its monitor.
    """
    cell = task.cell
    encoder = Encoder(method=method, data=source.spec, device=cell.device, precision=choice.precision)
    looks: list[tuple[Moments, Look]] = []
    watchers: dict[str, Stateful] = {}
    monitor = None
    if "encode" in capabilities_of(method):
        watch = CollapseWatch(encoder, source, uses, seed=cell.seed)
        looks.append((Moments(MOMENTS), watch.look))
        watchers |= {"collapse": watch, "moments of collapse": looks[-1][0]}
    if looks and task.monitor:
        news = partial(report, "monitor")
        monitor = Monitor(encoder, source, seed=cell.seed, news=news, learned=cell.train.validation)
        looks.append((Moments(task.monitor), monitor.look))
        watchers |= {"monitor": monitor, "moments of monitor": looks[-1][0]}
    state = None
    if workplace.state is not None:
        asked = json.dumps(task.identity, sort_keys=True)
        state = TrainingState(workplace.state, task.key, watchers, found, asked=asked, told=asdict(choice))
    try:
        training = train(
            method,
            rows,
            source.spec,
            cell.train,
            cell.budget,
            seed=cell.seed,
            precision=choice.precision,
            progress=partial(report, "training"),
            observe=Observer(method, cell.device, looks),
            state=state,
        )
    except TrainingFailed as error:
        error.so_far = {**error.so_far, "monitor": tuple(monitor.points) if monitor else ()}
        raise
    notes = (choice.why, training.note, monitor.note if monitor and training.steps else "")
    return replace(training, monitor=tuple(monitor.points) if monitor else (), note="; ".join(filter(None, notes)))


def _kept(checkpoint: Path | None) -> Path:
    """The weights of an earlier training."""
    if checkpoint is None:
        raise FileNotFoundError("the weights of the earlier training are not there: run with --fresh")
    return checkpoint
