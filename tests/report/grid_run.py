"""Runs of several sources and targets, made of given numbers: what a test says of them can be worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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

KINDS = {"rotation": "pretext", "jigsaw": "pretext", "vae": "model"}  # others are references
Grid = Mapping[tuple[str, str, str], Sequence[float | None]]  # (method, source, target): values by seed; None: failed


def grid_results(grid: Grid, *, other: Grid | None = None, better: str = "higher") -> list[CellResult]:
    """One cell for each method, source and seed, with accuracy on each of its targets. other: of an evaluation more."""
    cells = {(method, source): None for method, source, _ in grid}
    found = []
    for method, source in cells:
        seeds = max(len(values) for key, values in grid.items() if key[:2] == (method, source))
        found += [_cell(method, source, seed, grid, other or {}, better) for seed in range(seeds)]
    return found


def _cell(method: str, source: str, seed: int, grid: Grid, other: Grid, better: str) -> CellResult:
    values = {target: values for (m, s, target), values in grid.items() if (m, s) == (method, source)}
    judged = [
        _judged("linear-probe", target, of[seed], "leads", better) for target, of in values.items() if seed < len(of)
    ]
    more = [(target, of) for (m, s, target), of in other.items() if (m, s) == (method, source)]
    judged += [_judged("knn", target, of[seed], "follows", "higher") for target, of in more if seed < len(of)]
    cell = Cell(
        method=PluginRef(name=method),
        kind=KINDS.get(method, "reference"),
        backbone=PluginRef(name="convnet"),
        source=PluginRef(name=source),
        targets=tuple(PluginRef(name=target) for target in values),
        evaluations=(PluginRef(name="linear-probe"),),
        device="cpu",
        precision="fp32",
        seed=seed,
        budget=Budget(amount=40, unit="epochs"),
        train=TrainConfig(),
    )
    return CellResult(
        key=f"{method}-{source}-{seed}",
        cell=cell,
        identity={"method": method},
        provenance={"uses": "labels" if method == "supervised" else ""},
        training=TrainingResult(status="ok", seconds=1.0, steps=10, examples=100),
        evaluations=tuple(judged),
    )


def _judged(evaluation: str, target: str, value: float | None, role: str, better: str) -> EvaluationResult:
    about = {"target": target, "evaluation": evaluation, "key": f"{evaluation}-{target}"}
    if value is None:
        return EvaluationResult(**about, status="failed", reason="it went wrong")
    score = Score(score="accuracy", value=value, unit="fraction", better=better, primary=True, role=role, low=0.0,
                  high=1.0, n=100, chance=None)  # fmt: skip
    return EvaluationResult(**about, status="ok", scores=(score,))
