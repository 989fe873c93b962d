"""Every extension point of Harness. A plugin is a module with the hooks that it implements, and one entry point.

Groups of entry points: harness.models, harness.pretext_tasks, harness.pretrained, harness.references,
harness.backbones, harness.datasets, harness.evaluations, harness.launchers, harness.trackers. The group says what the
plugin is, so that listing imports nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from harness.plugin.specs import BackboneSpec, DatasetSpec, EvaluationSpec, LauncherSpec, MethodSpec, TrackerSpec
    from harness.records import Cell, CellResult, Request

PROJECT = "harness"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# What a plugin offers. ------------------------------------------------------------------------------------------------


@hookspec
def harness_method() -> MethodSpec:  # type: ignore[empty-body]
    """A model, a pretext task, a pretrained encoder or a reference."""


@hookspec
def harness_backbone() -> BackboneSpec:  # type: ignore[empty-body]
    """An encoder network that methods are built on."""


@hookspec
def harness_dataset() -> DatasetSpec:  # type: ignore[empty-body]
    """A source or a target of images."""


@hookspec
def harness_evaluation() -> EvaluationSpec:  # type: ignore[empty-body]
    """A judge of frozen methods."""


@hookspec
def harness_launcher() -> LauncherSpec:  # type: ignore[empty-body]
    """What runs the cells of a bench."""


@hookspec
def harness_tracker() -> TrackerSpec:  # type: ignore[empty-body]
    """What follows a run: it listens to the events below."""


# What a plugin is told: never in a cell's process. Harness's own plugins hear it in that of `harness bench`, those of
# others in one of their own beside it (on Linux), so that no listener can end or hold up a run. -----------------------


@hookspec
def harness_run_started(request: Request, cells: int) -> None:
    """A run begins, told once; `cells` is the number of cells that will be trained or evaluated."""


@hookspec
def harness_cells_added(request: Request, cells: int) -> None:
    """The run goes on with `cells` more, as when `--seeds auto` adds seeds; `request` has those before them too."""


@hookspec
def harness_work_planned(todo: Sequence[Cell]) -> None:
    """The cells that run from here on, each as often as it does: twice where its times are measured at the end, alone.

    Told after `harness_run_started` and after each `harness_cells_added`.
    """


@hookspec
def harness_cell_started(cell: Cell) -> None:
    """A cell got its slot."""


@hookspec
def harness_scalars(cell: Cell, stage: str, done: float, scalars: Mapping[str, float]) -> None:
    """News of a running cell: the stage, the fraction of it that is done in [0,1], and the latest means."""


@hookspec
def harness_cell_finished(cell: Cell, result: CellResult) -> None:
    """A cell ended, well or not; its result is on the disk already."""


@hookspec
def harness_run_finished(results: list[CellResult]) -> None:
    """All cells ended, those that were added too: told once, and not at all where a run is interrupted."""
