"""The contract of trackers, check by check: each is told of a small run in a folder that is thrown away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.contract.requirements import Broken
from harness.listening import check_events, listening
from harness.plugin.specs import TrackerSpec
from harness.records import Budget, Cell, CellResult, PluginRef, Request, TrainConfig, TrainingResult
from harness.registry import Registry


@dataclass(frozen=True)
class TrackerCase:
    spec: TrackerSpec
    config: Any

    @contextmanager
    def listener(self) -> Iterator[object]:
        """A tracker of a run in an empty folder."""
        with tempfile.TemporaryDirectory(prefix="harness-check-") as folder:
            yield self.spec.build(self.config, Path(folder))


def hears_events(case: TrackerCase) -> str:
    registry = Registry([])
    with case.listener() as listener:
        heard = check_events(registry, "it", listener)
        with listening(registry, {"it": listener}):
            return ", ".join(event.removeprefix("harness_") for event in heard)


def follows_a_run(case: TrackerCase) -> str:
    """No hook raises, whether a cell trains, fails or diverges."""
    registry = Registry([])
    with case.listener() as listener, listening(registry, {"it": listener}):
        for event, news in _small_run():
            try:
                getattr(registry.manager.hook, event)(**news)
            except (Exception, SystemExit) as error:
                raise Broken(f"{event} raised {type(error).__name__}: {' '.join(str(error).split())}") from error
    return "2 cells"


def _small_run() -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of a run of two cells: one is trained, the other fails."""
    results = []
    yield "harness_run_started", {"request": Request(), "cells": 1}
    for seed, status in ((0, "ok"), (1, "failed")):
        if seed:
            yield "harness_cells_added", {"request": Request(), "cells": 1}
        cell = _cell(seed)
        yield "harness_cell_started", {"cell": cell}
        for stage, done in (("loading", 0.0), ("training", 0.5), ("training", 1.0)):
            scalars = {"loss": float("nan") if status == "failed" else 1 - done} if stage == "training" else {}
            yield "harness_scalars", {"cell": cell, "stage": stage, "done": done, "scalars": scalars}
        training = TrainingResult(status=status, reason="" if status == "ok" else "diverged")  # type: ignore[arg-type]
        results.append(CellResult(key=str(seed), cell=cell, identity={}, provenance={}, training=training))
        yield "harness_cell_finished", {"cell": cell, "result": results[-1]}
    yield "harness_run_finished", {"results": results}


def _cell(seed: int) -> Cell:
    digits = PluginRef(name="digits")
    return Cell(
        method=PluginRef(name="vae", params={"beta": 2.0}),
        kind="model",
        backbone=PluginRef(name="convnet"),
        source=digits,
        targets=(digits,),
        evaluations=(PluginRef(name="knn"),),
        device="cpu",
        precision="fp32",
        seed=seed,
        budget=Budget(amount=1, unit="epochs"),
        train=TrainConfig(),
    )


CHECKS = (hears_events, follows_a_run)
