"""From cells to tasks: what is cached, what is stale and why, what has to run, what is skipped and why."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from harness import loading
from harness.errors import NotApplicable
from harness.expansion import expand
from harness.machine import device_class, machine, torch_version
from harness.plugin.specs import MethodSpec
from harness.records import (
    Cell,
    CellResult,
    CellTask,
    EvaluationResult,
    EvaluationTask,
    PluginRef,
    Request,
    TrainConfig,
    TrainingResult,
)
from harness.registry import METHOD_KINDS, Registry
from harness.registry.config import full_ref, resolve
from harness.registry.fingerprint import digest_of_modules, source_digest
from harness.store import RunFolder

State = Literal["cached", "stale", "to run", "skipped"]
# The modules of the core that change what every cell computes. What a plugin imports beyond them counts for it alone.
CORE = (
    "harness.building",
    "harness.cell",
    "harness.judge",
    "harness.trainer",
    "harness.judging.subject",
    "harness.seeding",
    "harness.data.batches",
    "harness.data.columns",
    "harness.data.fields",
    "harness.data.rows",
    "harness.data.stream",
    "harness.data.texts",
    "harness.loading",
    "harness.data.images",
    "harness.data.splits",
    "harness.judging.diagnosis",
)


@dataclass(frozen=True, kw_only=True)
class PlannedCell:
    """One cell with what has to be done for it."""

    task: CellTask
    state: State
    why: str = ""
    previous: CellResult | None = None  # what is stored under the same key
    replaces: str = ""  # the key of a stale cell that this one makes superfluous

    @property
    def cell(self) -> Cell:
        return self.task.cell


@dataclass(frozen=True)
class Plan:
    """All cells of a request, and which of their evaluations need the machine for themselves."""

    request: Request
    cells: tuple[PlannedCell, ...]
    exclusive: frozenset[str]  # names of evaluations

    def tasks(self, *, exclusive: bool) -> list[CellTask]:
        """What is left to do: everything but the exclusive evaluations, or only those."""
        tasks = []
        for planned in self.cells:
            todo = tuple(t for t in planned.task.todo if (t.evaluation.name in self.exclusive) == exclusive)
            untrained = planned.task.training is None and not exclusive
            if planned.state not in ("cached", "skipped") and (todo or untrained):
                tasks.append(replace(planned.task, todo=todo))
        return tasks


def make_plan(
    request: Request, registry: Registry, folder: RunFolder, *, data_dir: str | Path | None = None, fresh: bool = False
) -> Plan:
    """Resolve a request against what the folder holds already. `fresh` takes nothing from it."""
    root = loading.data_root(data_dir)
    cells = expand(request, registry)
    labels = {str(ref): ref for cell in cells for ref in (cell.source, *cell.targets)}
    fingerprints = {label: _dataset_fingerprint(registry, ref, root) for label, ref in labels.items()}
    files = tuple(dict.fromkeys(str(info.source) for info in registry.infos() if info.distribution == "file"))
    shared = CellTask(
        key="",
        cell=cells[0],
        identity={},
        provenance={},
        todo=(),
        plugin_files=files,
        data_root=str(root),
        cache=str(loading.cache_root()),
        fingerprints=fingerprints,
    )
    stored = {} if fresh else folder.stored()
    by_identity = {json.dumps(_plain(result.identity), sort_keys=True): result for result in stored.values()}
    planned = []
    for cell in cells:
        task = _task(cell, registry, shared)
        skip = _reason_to_skip(cell, registry, root)
        other = by_identity.get(json.dumps(_plain(task.identity), sort_keys=True))
        planned.append(_planned(task, skip, stored.get(task.key), other, folder))
    judges = {ref.name for cell in cells for ref in cell.evaluations}
    specs = [registry.load(name, ("evaluation",)).spec for name in sorted(judges)]
    return Plan(request, tuple(planned), frozenset(spec.name for spec in specs if spec.exclusive))


def _planned(
    task: CellTask, skip: str, previous: CellResult | None, other: CellResult | None, folder: RunFolder
) -> PlannedCell:
    if skip:
        return PlannedCell(task=task, state="skipped", why=skip, previous=previous)
    if previous is None:
        if other is None:
            return PlannedCell(task=task, state="to run", why="new")
        changed = [
            key for key, value in task.provenance["keyed"].items() if other.provenance["keyed"].get(key) != value
        ]
        return PlannedCell(task=task, state="stale", why=f"changed: {', '.join(changed)}", replaces=other.key)
    if previous.training.status != "ok":
        why = f"tried before: {previous.training.reason}"
        return PlannedCell(task=task, state="to run", why=why, previous=previous)
    done = {(e.target, e.evaluation): e for e in previous.evaluations if e.status != "failed"}
    todo = tuple(t for t in task.todo if _key_of(done.get((str(t.target), str(t.evaluation)))) != t.key)
    if not todo:
        return PlannedCell(task=replace(task, todo=()), state="cached", previous=previous)
    names = ", ".join(dict.fromkeys(t.evaluation.name for t in todo))
    checkpoint = folder.checkpoint(task.key)
    trained = checkpoint.exists()
    why = f"{len(todo)} of {len(task.todo)} evaluations: {names}" + ("" if trained else "; its weights are not kept")
    task = replace(task, todo=todo)
    if trained:
        task = replace(task, training=previous.training, checkpoint=str(checkpoint.resolve()))
    return PlannedCell(task=task, state="to run", why=why, previous=previous)


def _key_of(evaluation: EvaluationResult | None) -> str:
    return "" if evaluation is None else evaluation.key


def _task(cell: Cell, registry: Registry, shared: CellTask) -> CellTask:
    """The cell's task with everything still to do, and its key: a hash of all that changes the answer."""
    identity = {
        "method": _full(registry, cell.method, METHOD_KINDS),
        "backbone": _full(registry, cell.backbone, ("backbone",)) if cell.backbone else "",
        "source": _full(registry, cell.source, ("dataset",)),
        "device": cell.device,
        "precision": cell.precision,
        "seed": cell.seed,
        "budget": str(cell.budget),
        "train": asdict(cell.train),
        "threads": cell.threads,
    }
    keyed = {
        "method source": _digest(registry, cell.method, METHOD_KINDS),
        "backbone source": _digest(registry, cell.backbone, ("backbone",)) if cell.backbone else "",
        "core source": digest_of_modules(CORE),
        "dataset": shared.fingerprints[str(cell.source)],
        "dataset source": _digest(registry, cell.source, ("dataset",)),
        "torch": torch_version(),
        "device class": device_class(cell.device),
    }
    key = _hash(identity, keyed)
    todo = tuple(
        EvaluationTask(target=target, evaluation=ref, key=_evaluation_key(key, target, ref, registry, shared))
        for target in cell.targets
        for ref in cell.evaluations
    )
    plugin = registry.load(cell.method.name, METHOD_KINDS)
    provenance = {
        "keyed": keyed,
        "plugin": plugin.info.origin,
        "uses": ", ".join(plugin.spec.uses_with(resolve(plugin.spec.config, cell.method.params, cell.method.name))),
        "settings": _changed_settings(cell, plugin.spec),
        **machine(cell.device),
    }
    return replace(shared, key=key, cell=cell, identity=identity, provenance=provenance, todo=todo)


def _changed_settings(cell: Cell, spec: MethodSpec) -> str:
    """What the request set of the optimisation, where it differs from the method's own recipe."""
    own = asdict(TrainConfig()) | dict(spec.recipe)
    return ", ".join(f"{key}={value}" for key, value in asdict(cell.train).items() if value != own[key])


def _evaluation_key(key: str, target: PluginRef, ref: PluginRef, registry: Registry, shared: CellTask) -> str:
    spec = registry.load(ref.name, ("evaluation",)).spec
    timed_on = machine("cpu")["device name"] if spec.exclusive else ""
    return _hash(
        key,
        _full(registry, target, ("dataset",)),
        shared.fingerprints[str(target)],
        _digest(registry, target, ("dataset",)),
        _full(registry, ref, ("evaluation",)),
        _digest(registry, ref, ("evaluation",)),
        timed_on,
    )


def _full(registry: Registry, ref: PluginRef, kinds: tuple[str, ...]) -> str:
    """A plugin with all its parameters, defaults too."""
    spec = registry.load(ref.name, kinds).spec
    return str(full_ref(ref.name, resolve(spec.config, ref.params, ref.name)))


def _digest(registry: Registry, ref: PluginRef, kinds: tuple[str, ...]) -> str:
    return source_digest(registry.load(ref.name, kinds))


def _dataset_fingerprint(registry: Registry, ref: PluginRef, root: Path) -> str:
    spec = registry.load(ref.name, ("dataset",)).spec
    return loading.fingerprint(spec, resolve(spec.config, ref.params, ref.name), root)


def _reason_to_skip(cell: Cell, registry: Registry, root: Path) -> str:
    """Why a method makes no sense on this source, found by building it; any other error is the cell's own to report."""
    from harness.building import build_method

    plugin = registry.load(cell.method.name, METHOD_KINDS)
    dataset = registry.load(cell.source.name, ("dataset",)).spec
    spec = dataset.describe(resolve(dataset.config, cell.source.params, cell.source.name), root)
    uses = plugin.spec.uses_with(resolve(plugin.spec.config, cell.method.params, cell.method.name))
    there = {
        "labels": bool(spec.classes),
        "captions": spec.captions is not None,
        "counterparts": bool(spec.counterpart),
    }
    for name in ("counterparts" if name == "unpaired" else name for name in uses):
        if not there[name]:
            return f"{cell.source.name} has no {name} to learn from"
    try:
        build_method(registry, cell, spec)
    except NotApplicable as reason:
        return str(reason)
    except Exception:
        return ""  # no reason to skip: the cell will run, fail, and report the error with its traceback
    return ""


def skipped_result(planned: PlannedCell) -> CellResult:
    """The stored result of a cell that is not run: a row with the reason for each evaluation."""
    from harness.outcomes import unjudged

    training = TrainingResult(status="skipped", reason=planned.why)
    return CellResult.without_process(planned.task, training, unjudged(planned.task, training))


def combined(planned: PlannedCell, parts: Sequence[CellResult]) -> CellResult:
    """What was stored of a cell, and what its tasks gave since, as one result with its evaluations in planned order."""
    known: dict[tuple[str, str], EvaluationResult] = {}
    earlier = [planned.previous] if planned.previous is not None and planned.previous.training.status == "ok" else []
    for part in (*earlier, *parts):
        known |= {(e.target, e.evaluation): e for e in part.evaluations}
    wanted = [(str(target), str(ref)) for target in planned.cell.targets for ref in planned.cell.evaluations]
    others = [pair for pair in known if pair not in wanted]
    return replace(parts[-1], evaluations=tuple(known[pair] for pair in [*wanted, *others] if pair in known))


def _hash(*parts: Any) -> str:
    """16 hex digits of the parts as JSON."""
    text = json.dumps([_plain(part) for part in parts], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _plain(value: Any) -> Any:
    return {key: _plain(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value
