"""Small runs for comparisons: a few cells with the scores that a test names, on the disk as a bench leaves them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.examples import Outcomes, write_examples
from harness.gate.comparing import compare
from harness.gate.findings import Comparison, Finding
from harness.gate.margins import Margins, parse_margins
from harness.gate.sides import load_sides
from harness.records import (
    Budget,
    Cell,
    CellResult,
    EvaluationResult,
    PluginRef,
    Score,
    TrainConfig,
    TrainingResult,
)
from harness.store import dump_result

BASE = (0.90, 0.91, 0.905, 0.895, 0.90)  # accuracies of seeds 0 to 4
PROVENANCE = {
    "keyed": {"dataset": "da7a", "torch": "2.9.0", "method source": "aa", "device class": "cpu x86_64"},
    "device name": "A processor",
    "cores": 2,
    "python": "3.11.7",
    "git commit": "0123abc",
}


def score(
    name: str = "accuracy", value: float = 0.9, unit: str = "fraction", better: str = "higher", **more: Any
) -> Score:
    """A primary score of 400 examples, unless it is said otherwise."""
    defaults: dict[str, Any] = {"primary": True, "chance": None, "n": 400}
    return Score(score=name, value=float(value), unit=unit, better=better, **{**defaults, **more})


def judged(*scores: Score, by: str = "knn", **more: Any) -> EvaluationResult:
    """What an evaluation said on digits."""
    defaults: dict[str, Any] = {"target": "digits", "status": "ok", "key": "k"}
    return EvaluationResult(evaluation=by, scores=scores, **{**defaults, **more})


def cell(
    *evaluations: EvaluationResult,
    seed: int = 0,
    method: str = "vae",
    kind: str = "model",
    budget: str = "10 epochs",
    training: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    **more: Any,
) -> CellResult:
    """A finished cell. `training` and `provenance` change what all cells here have in common."""
    digits = PluginRef(name="digits")
    asked = Cell(
        method=PluginRef(name=method),
        kind=kind,  # type: ignore[arg-type]
        backbone=PluginRef(name="convnet"),
        source=digits,
        targets=(digits,),
        evaluations=(),
        seed=seed,
        budget=Budget.parse(budget),
        train=TrainConfig(),
        **{"device": "cpu", "precision": "fp32", **more},
    )
    trained: dict[str, Any] = {"status": "ok", "steps": 100, "examples": 12_800, "parameters": 5_000, "seconds": 9.0}
    trained |= {"loss": 0.5 + seed / 10} | dict(training or {})
    made_with = {**PROVENANCE, **(provenance or {})}
    made_with["keyed"] = {**PROVENANCE["keyed"], **made_with["keyed"]}  # type: ignore[dict-item]
    return CellResult(
        key=f"{method}-{seed}",
        cell=asked,
        identity={"method": method},
        provenance=made_with,
        training=TrainingResult(**trained),
        evaluations=evaluations,
        finished=f"2026-05-0{seed + 1}T12:00:00+00:00",
    )


def accuracies(values: Iterable[float] = BASE, **more: Any) -> list[CellResult]:
    """A cell for each accuracy of kNN, at seeds from 0. Losses differ by a bit between runs that are not alike."""
    return [
        cell(judged(score(value=value)), seed=seed, training={"loss": float(value)}, **more)
        for seed, value in enumerate(values)
    ]


def write(folder: Path, results: Iterable[CellResult]) -> Path:
    """The folder of a run with these cells."""
    (folder / "cells").mkdir(parents=True)
    for result in results:
        (folder / "cells" / f"{result.key}.json").write_bytes(dump_result(result))
    return folder


def with_outcomes(folder: Path, right: Mapping[int, np.ndarray], method: str = "vae") -> Path:
    """A run whose kNN kept what each test example got, right (N,) as 1 or 0 at each seed."""
    results = []
    for seed, flags in right.items():
        file = write_examples(
            folder / "artifacts" / f"{method}-{seed}" / "knn", {"accuracy": Outcomes(flags.astype(float))}, None
        )
        told = judged(score(value=flags.mean(), n=len(flags), proportion=True), examples=str(file.relative_to(folder)))
        results.append(cell(told, seed=seed, method=method, training={"loss": float(flags.mean())}))
    return write(folder, results)


def compared(
    tmp_path: Path,
    base: Sequence[CellResult],
    candidate: Sequence[CellResult],
    *tables: Mapping[str, Any],
    **options: Any,
) -> Comparison:
    """Both runs written, loaded and compared. tables: [[margin]]s."""
    sides = load_sides(write(tmp_path / "base", base), write(tmp_path / "candidate", candidate))
    return compare(*sides, parse_margins({"margin": list(tables)}) if tables else Margins(), **options)


def of(comparison: Comparison, name: str) -> Finding:
    """The one row that is called so: "knn accuracy"."""
    (found,) = (finding for finding in comparison.findings if finding.judged == name)
    return found
