"""Launchers and trackers that break their contract are found, by the check that is meant for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.contract import launchers, trackers
from harness.contract.launchers import LauncherCase
from harness.contract.requirements import Broken
from harness.contract.trackers import TrackerCase
from harness.errors import BrokenPlugin
from harness.outcomes import failed
from harness.plugin import CellResult, LauncherSpec, NoConfig, TrackerSpec, hookimpl
from harness.records import TrainingResult


class Tracker:
    def __init__(self, config: Any, folder: Path) -> None:
        assert list(folder.iterdir()) == []

    @hookimpl
    def harness_scalars(self, scalars: dict[str, float]) -> None:
        if scalars:
            round(scalars["loss"])  # which NaN cannot be


def tracker(build: Any) -> TrackerCase:
    return TrackerCase(TrackerSpec(name="it", build=build), NoConfig())


def test_a_tracker_that_raises_is_named_with_its_event() -> None:
    assert trackers.hears_events(tracker(Tracker)) == "scalars"
    with pytest.raises(Broken, match="harness_scalars raised ValueError: cannot convert float NaN to integer"):
        trackers.follows_a_run(tracker(Tracker))


def test_a_tracker_that_hears_nothing_is_found() -> None:
    with pytest.raises(BrokenPlugin, match="it hears nothing"):
        trackers.hears_events(tracker(lambda config, folder: object()))


class Launcher:
    """Does nothing, and gives what a real one would give."""

    def __init__(self, config: Any, conditions: Any) -> None:
        self.conditions = conditions

    def result(self, task: Any) -> CellResult:
        if task.key == "no-such-method":
            return failed(task, "no method 'no-such-method'")
        return CellResult.without_process(task, TrainingResult(status="ok"), ())

    def run(self, assignments: Any, *, alone: bool) -> Iterator[CellResult]:
        for assignment in assignments:
            assignment.here.staging.mkdir()
            (assignment.here.staging / "method.safetensors").touch()
            self.conditions.tell("harness_cell_started", cell=assignment.task.cell)
            yield self.result(assignment.task)


class Forgets(Launcher):
    def run(self, assignments: Any, *, alone: bool) -> Iterator[CellResult]:
        yield from super().run(assignments[:1], alone=alone)


class Fails(Launcher):
    def result(self, task: Any) -> CellResult:
        return failed(task, "nobody is there")


class Loses(Launcher):
    def run(self, assignments: Any, *, alone: bool) -> Iterator[CellResult]:
        for assignment in assignments:
            yield self.result(assignment.task)


class Passes(Launcher):
    def result(self, task: Any) -> CellResult:
        return replace(super().result(task), training=TrainingResult(status="ok"))


def launcher(build: Any) -> LauncherCase:
    return LauncherCase(LauncherSpec(name="it", build=build), NoConfig())


def test_a_launcher_that_keeps_the_contract_passes() -> None:
    assert launchers.carries_out_tasks(launcher(Launcher)) == "2 tasks"
    assert launchers.tells_of_its_cells(launcher(Launcher)) == "harness_cell_started"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (Forgets, r"it gave results for \['random-init'\], expected one for each of"),
        (Fails, "random-init is failed: nobody is there"),
        (Loses, r"the weights of a trained cell are not in here\.staging when its result comes"),
        (Passes, "no-such-method is ok: ''"),
    ],
)
def test_a_launcher_that_breaks_it_is_told_how(build: Any, message: str) -> None:
    with pytest.raises(Broken, match=message):
        launchers.carries_out_tasks(launcher(build))


def test_a_launcher_that_tells_nothing_is_found() -> None:
    with pytest.raises(Broken, match=r"harness_cell_started was told of \[\], expected"):
        launchers.tells_of_its_cells(launcher(Loses))
