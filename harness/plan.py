"""From cells to tasks: what is cached, what is stale and why, what has to run, what is skipped and why."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

from harness import loading
from harness.applicability import reason_against, reason_against_judging
from harness.expansion import expand
from harness.keys import Keys, as_text, hashed
from harness.records import (
    Cell,
    CellResult,
    CellTask,
    EvaluationResult,
    EvaluationTask,
    PluginRef,
    Request,
    TrainingResult,
    never_trains,
)
from harness.registry import Registry
from harness.store import RunFolder, weights_sum
from harness.tuning import Tuning

State = Literal["cached", "stale", "to run", "skipped"]


@dataclass(frozen=True, kw_only=True)
class PlannedCell:
    """One cell with what has to be done for it."""

    task: CellTask
    state: State
    why: str = ""
    previous: CellResult | None = None  # what is stored under the same key
    replaces: str = ""  # the key of a stale cell that this one makes superfluous
    judged: int = 0  # its evaluations, those that are done already too
    plugin_files: tuple[Path, ...] = ()  # the unpackaged files of its own plugins: what its process loads

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
            todo = tuple(t for t in planned.task.todo if self._alone(t) == exclusive)
            untrained = planned.task.training is None and not exclusive
            if planned.state not in ("cached", "skipped") and (todo or untrained):
                tasks.append(replace(planned.task, todo=todo))
        return tasks

    @property
    def cells_left(self) -> int:
        """How many cells will be trained or evaluated."""
        return len({task.key for exclusive in (False, True) for task in self.tasks(exclusive=exclusive)})

    def _alone(self, todo: EvaluationTask) -> bool:
        """Does it need the machine for itself? What only says that it makes no sense does not."""
        return todo.evaluation.name in self.exclusive and not todo.unfit


def make_plan(
    request: Request,
    registry: Registry,
    folder: RunFolder,
    *,
    data_dir: str | Path | None = None,
    fresh: bool = False,
    ran: Container[str] = (),
    tuning: Tuning | None = None,
) -> Plan:
    """Resolve a request against what the folder holds already. `fresh` takes from it only the cells (by key) that
    `ran` by now; `tuning` leaves out the settings that it did not choose.
    """
    with registry.apart("planning"):
        return _plan(request, registry, folder, data_dir=data_dir, fresh=fresh, ran=ran, tuning=tuning)


def _plan(
    request: Request,
    registry: Registry,
    folder: RunFolder,
    *,
    data_dir: str | Path | None,
    fresh: bool,
    ran: Container[str],
    tuning: Tuning | None,
) -> Plan:
    cells = [cell for cell in expand(request, registry) if tuning is None or tuning.keeps(cell)]
    keys = Keys(registry, loading.data_root(data_dir))
    for ref in {str(ref): ref for cell in cells for ref in (cell.source, *cell.targets)}.values():
        keys.fingerprint(ref)  # all of them, before any work: a dataset that is missing is an error of the request
    shared = CellTask(key="", cell=cells[0], identity={}, provenance={}, todo=(), fingerprints=keys.fingerprints)
    stored = {key: result for key, result in folder.stored().items() if not fresh or key in ran}
    by_identity = {as_text(_asked_for(result)): result for result in stored.values()}
    fits = _Fits(keys)
    planned = []
    for cell in cells:
        task, identity = _task(cell, keys, fits, shared)
        previous, other = stored.get(task.key), by_identity.get(identity)
        one = _planned(task, fits.cell(cell), previous, other, folder)
        if one.state in ("to run", "stale") and one.task.training is None and not fresh:
            one = _interrupted(one, folder)
        planned.append(replace(one, judged=len(task.todo), plugin_files=keys.plugin_files(cell)))
    judges = {ref.name: ref for cell in cells for ref in cell.evaluations}
    exclusive = frozenset(name for name, ref in judges.items() if keys.evaluation(ref).spec.exclusive)
    return Plan(request, tuple(planned), exclusive)


def _asked_for(result: CellResult) -> dict[str, Any]:
    """The identity as it is now written: an older one has a budget for what never trains by it."""
    return {**result.identity, "budget": ""} if result.identity and never_trains(result) else dict(result.identity)


class _Fits:
    """Reasons why something makes no sense, each worked out once."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.cells: dict[tuple[str, ...], str] = {}
        self.judgements: dict[tuple[str, ...], str] = {}

    def cell(self, cell: Cell) -> str:
        """Why its method, on its backbone, cannot learn from its source."""
        keys = self.keys
        key = (str(cell.method), str(cell.backbone or ""), str(cell.source))
        if key not in self.cells:
            source = keys.dataset(cell.source)
            self.cells[key] = reason_against(keys.method(cell), keys.backbone(cell), source, keys.data(cell.source))
        return self.cells[key]

    def judgement(self, source: PluginRef, target: PluginRef, ref: PluginRef) -> str:
        """Why an evaluation cannot judge on a target what was learned from a source."""
        keys = self.keys
        key = (str(source), str(target), str(ref))
        if key not in self.judgements:
            others = [(keys.dataset(other), keys.data(other)) for other in keys.others(target, ref)]
            self.judgements[key] = reason_against_judging(
                keys.evaluation(ref), keys.data(source), keys.dataset(target), keys.data(target), others
            )
        return self.judgements[key]


def _planned(
    task: CellTask, skip: str, previous: CellResult | None, other: CellResult | None, folder: RunFolder
) -> PlannedCell:
    if skip:
        return PlannedCell(task=task, state="skipped", why=skip, previous=previous)
    if previous is None:
        if other is None:
            damaged = folder.damage.get(f"cells/{task.key}.json", "")
            return PlannedCell(task=task, state="to run", why=f"its file is damaged: {damaged}" if damaged else "new")
        before = other.provenance.get("keyed", {})
        before = before if isinstance(before, Mapping) else {}
        changed = [key for key, value in task.provenance["keyed"].items() if before.get(key) != value]
        why = f"changed: {', '.join(changed) or 'how keys are made'}"
        return PlannedCell(task=task, state="stale", why=why, replaces=other.key)
    if previous.training.status == "skipped":  # what building told: the same again, since all that it saw is in the key
        return PlannedCell(task=task, state="skipped", why=previous.training.reason, previous=previous)
    if previous.training.status != "ok":
        why = f"tried before: {previous.training.reason}"
        return PlannedCell(task=task, state="to run", why=why, previous=previous)
    done = {_asked(e): e for e in previous.evaluations if e.status != "failed"}
    todo = tuple(t for t in task.todo if _key_of(done.get(_asked(t))) != t.key)
    if not todo:
        return PlannedCell(task=replace(task, todo=()), state="cached", previous=previous)
    names = ", ".join(dict.fromkeys(t.evaluation.name for t in todo))
    why = f"{len(todo)} of {len(task.todo)} evaluations: {names}"
    if folder.weights(previous) is not None or (previous.files is not None and not weights_sum(previous)):
        return PlannedCell(
            task=replace(task, todo=todo, training=previous.training), state="to run", why=why, previous=previous
        )
    lost = "damaged" if folder.checkpoint(task.key).exists() and previous.files is not None else "not kept"
    why += f"; its weights are {lost}: it is trained and judged again, so that all is said of the same weights"
    return PlannedCell(task=task, state="to run", why=why)


def _interrupted(planned: PlannedCell, folder: RunFolder) -> PlannedCell:
    """The same, with the words for a training that was interrupted."""
    how = folder.unfinished.words(planned.task.key)
    why = "" if planned.why == "new" else planned.why
    return replace(planned, why="; ".join(filter(None, (why, how)))) if how else planned


def _asked(evaluation: EvaluationTask | EvaluationResult) -> tuple[str, str, str]:
    """What tells the evaluations of a cell apart."""
    return (str(evaluation.target), str(evaluation.evaluation), evaluation.labels)


def _key_of(evaluation: EvaluationResult | None) -> str:
    return "" if evaluation is None else evaluation.key


def _task(cell: Cell, keys: Keys, fits: _Fits, shared: CellTask) -> tuple[CellTask, str]:
    """The cell's task with everything still to do, its key a hash of all that changes the answer; and its identity."""
    identity, provenance = keys.identity(cell), keys.provenance(cell)
    text = as_text(identity)
    key = hashed(f"{text} {as_text(provenance['keyed'])}")
    strangers = keys.strangers(cell)
    todo = [
        EvaluationTask(
            target=target,
            evaluation=ref,
            key=keys.evaluation_key(key, target, ref, labels),
            unfit=fits.judgement(cell.source, target, ref),
            labels=labels,
            others=keys.others(target, ref),
            strangers=tuple(name for name in keys.judging_strangers(target, ref) if name not in strangers),
        )
        for target in cell.targets
        for ref in cell.evaluations
        for labels in (cell.labels if keys.evaluation(ref).spec.fits_labels else ("",))
    ]
    todo.sort(key=lambda one: one.strangers)  # what needs none comes first, before any code of theirs is loaded
    task = replace(shared, key=key, cell=cell, identity=identity, provenance=provenance, todo=tuple(todo))
    return replace(task, strangers=strangers), text


def skipped_result(planned: PlannedCell) -> CellResult:
    """The stored result of a cell that is not run: a row with the reason for each evaluation."""
    from harness.outcomes import unjudged

    training = TrainingResult(status="skipped", reason=planned.why)
    return CellResult.without_process(planned.task, training, unjudged(planned.task, training))


def combined(planned: PlannedCell, parts: Sequence[CellResult]) -> CellResult:
    """What was stored of a cell, and what its tasks gave since, as one result with its evaluations in planned order."""
    known: dict[tuple[str, str, str], EvaluationResult] = {}
    earlier = [planned.previous] if planned.previous is not None and planned.previous.training.status == "ok" else []
    for part in (*earlier, *parts):
        known |= {_asked(e): e for e in part.evaluations}
    fits = {(target, evaluation): bool(labels) for target, evaluation, labels in known}  # as its plugin now says
    known = {asked: found for asked, found in known.items() if bool(asked[2]) == fits[asked[:2]]}
    places = {
        (str(t), str(ref)): n for n, (t, ref) in enumerate(product(planned.cell.targets, planned.cell.evaluations))
    }
    parts_of = [*planned.cell.labels, ""]

    def place(asked: tuple[str, str, str]) -> tuple[int, int]:
        target, evaluation, labels = asked
        where = places.get((target, evaluation), len(places))
        return (where, parts_of.index(labels) if labels in parts_of else len(parts_of))

    files = {name: found for part in (*earlier, *parts) for name, found in (part.files or {}).items()}
    return replace(parts[-1], evaluations=tuple(known[asked] for asked in sorted(known, key=place)), files=files)
