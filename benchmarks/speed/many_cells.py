"""A large run as a bench leaves it, written by what a bench writes with: cells, outcomes, curves and pictures. Seeded.

    python benchmarks/speed/many_cells.py RUN 100 10        # settings and seeds: 1,000 cells
    python benchmarks/speed/many_cells.py RUN 125 10 --sources 4

Settings are those of a sweep over six methods, beside four references. Numbers are drawn: seeds and test examples are
harder or easier for all methods, as in a real run, so that intervals and tests have something to say.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.examples import Outcomes, write_examples
from harness.records import (
    Budget,
    Cell,
    CellResult,
    CurvePoint,
    EvaluationResult,
    Picture,
    PluginRef,
    Request,
    Score,
    TrainConfig,
    TrainingResult,
)
from harness.store import RunFolder

SWEPT = (  # method, its kind, the setting that is swept
    ("vae", "model", "beta"),
    ("vqvae", "model", "codes"),
    ("simclr", "pretext", "temperature"),
    ("vicreg", "pretext", "variance"),
    ("rotation", "pretext", "dropout"),
    ("jigsaw", "pretext", "noise"),
)
REFERENCES = ("pixels", "pca", "random-init", "supervised")
SOURCES = ("digits", "shapes", "fashion-mnist", "cifar10", "svhn", "stl10")
EXAMPLES, CLASSES, POINTS = 360, 10, 60  # test examples; classes; points of a training curve
PROBED = ("linear-probe", "knn")
VERSIONS = dict.fromkeys(("torch", "torchvision", "numpy", "scikit-learn", "python", "harness"), "2.14.1")


def written_run(folder: Path, settings: int, seeds: int, sources: int = 1, outcomes: bool = True) -> RunFolder:
    """A run of settings x sources x seeds cells in that folder. outcomes: keep what each test example got."""
    run = RunFolder(folder).create()
    keys = []
    for cell in _cells(settings, seeds, sources):
        key = f"{cell.method.name}-{len(keys):06d}".replace(".", "")
        staged = run.staging / key
        staged.mkdir()
        run.save(_result(key, cell, staged, outcomes), staged)
        keys.append(key)
    request = Request(plugins=tuple(name for name, _, _ in SWEPT), seeds=tuple(range(seeds)), budget="40 epochs")
    run.write_request(request, {"command": "harness bench sweep.toml", **VERSIONS, "devices": {"cpu": "8 cores"}}, keys)
    return run


def _cells(settings: int, seeds: int, sources: int) -> Iterator[Cell]:
    for source in SOURCES[:sources]:
        for number in range(settings):
            for seed in range(seeds):
                yield _cell(number, source, seed)


def _cell(number: int, source: str, seed: int) -> Cell:
    if number < len(REFERENCES):
        method, kind = PluginRef(name=REFERENCES[number]), "reference"
    else:
        name, kind, key = SWEPT[number % len(SWEPT)]
        method = PluginRef(name=name, params={key: round(0.01 * number, 2)})
    trains = method.name not in ("pixels", "pca", "random-init")
    return Cell(
        method=method,
        kind=kind,  # type: ignore[arg-type]
        backbone=None if method.name in ("pixels", "pca") else PluginRef(name="convnet"),
        source=PluginRef(name=source),
        targets=(PluginRef(name=source),),
        evaluations=tuple(map(_ref, (*PROBED, "clustering", "representation", "reconstruction", "map", "throughput"))),
        device="cpu",
        precision="fp32",
        seed=seed,
        budget=Budget(amount=40, unit="epochs") if trains else None,
        train=TrainConfig(),
    )


def _ref(name: str) -> PluginRef:
    return PluginRef(name=name)


def _rng(*words: object) -> np.random.Generator:
    return np.random.default_rng(list("|".join(map(str, words)).encode()))


def _skill(cell: Cell) -> float:
    """What share of test examples it gets right on the whole."""
    return 0.75 + 0.2 * float(_rng("skill", cell.method, cell.source).random())


def _result(key: str, cell: Cell, staged: Path, outcomes: bool) -> CellResult:
    return CellResult(
        key=key,
        cell=cell,
        identity={"method": str(cell.method), "backbone": str(cell.backbone or ""), "source": str(cell.source)},
        provenance={
            **VERSIONS,
            "device_name": "An 8-core processor",
            "keyed": {f"{part} source": f"digest-of-{part}" for part in ("trainer", "method", "backbone", "dataset")},
            "uses": "labels" if cell.method.name == "supervised" else "",
        },
        training=_training(cell),
        evaluations=tuple(_evaluations(cell, staged, outcomes)),
        finished=f"2026-05-01T12:00:{cell.seed % 60:02d}+00:00",
    )


def _training(cell: Cell) -> TrainingResult:
    if cell.budget is None:
        return TrainingResult(status="ok", seconds=0.1)
    seen = np.linspace(0, 40 * 1079, POINTS + 1).astype(int)[1:]
    rng = _rng("curve", cell.method, cell.source, cell.seed)
    losses = 0.3 + 2 * np.exp(-seen / 9000) + rng.normal(0, 0.02, POINTS)
    curve = tuple(
        CurvePoint(examples=int(n), seconds=n / 2000, scalars={"loss": float(loss), "rate": 0.003})
        for n, loss in zip(seen, losses, strict=True)
    )
    return TrainingResult(
        status="ok", seconds=20 + float(rng.random()), steps=340, examples=43_160, parameters=53_216, views=2.0,
        passes=2.0, flops=3.1e12, loss=float(losses[-1]), curve=curve,
    )  # fmt: skip


def _evaluations(cell: Cell, staged: Path, outcomes: bool) -> Iterator[EvaluationResult]:
    rng = _rng("scores", cell.method, cell.source, cell.seed)
    for name in PROBED:
        right = _right(cell, name)
        kept = ""
        if outcomes:
            (staged / name).mkdir()
            labels = _rng("labels", cell.source, cell.seed).integers(0, CLASSES, EXAMPLES)
            kept = write_examples(staged / name, {"accuracy": Outcomes(right)}, labels).relative_to(staged).as_posix()
        yield _evaluation(cell, name, [
            _score("accuracy", right.mean(), primary=True, role="leads" if name == PROBED[0] else "follows",
                   chance=0.1, proportion=True),
            _score("balanced_accuracy", right.mean() - 0.002, chance=0.1),
            _score("calibration_error", 0.03 + 0.01 * rng.random(), better="lower"),
        ], examples=kept)  # fmt: skip
    yield _evaluation(cell, "clustering", [
        _score("nmi", 0.5 + 0.3 * rng.random(), primary=True), _score("ari", 0.4 + 0.3 * rng.random()),
    ])  # fmt: skip
    yield _evaluation(cell, "representation", [
        _score("rankme", 10 + 20 * rng.random(), "dimensions", better="none", primary=True),
        _score("uniformity", -2 - rng.random(), "nats", better="lower"),
    ])  # fmt: skip
    if cell.kind == "model":
        error = 0.005 + 0.002 * float(rng.random())
        yield _evaluation(cell, "reconstruction", [
            _score("psnr", 21 + rng.random(), "dB", primary=True), _score("mse", error, "", better="lower"),
        ], pictures=(_image(cell, staged),))  # fmt: skip
    else:
        yield EvaluationResult(target=str(cell.source), evaluation="reconstruction", status="skipped", key="k",
                               reason=f"{cell.method.name} cannot reconstruct")  # fmt: skip
    yield _evaluation(cell, "map", [], pictures=(_map(cell, staged),))
    yield _evaluation(cell, "throughput", [
        _score("encode_images_per_second", 80_000 * (1 + rng.random()), "images/s", primary=True, role="told"),
        _score("latency_p50", 0.002 + 0.001 * rng.random(), "s", better="lower"),
        _score("parameters", 53_216, "weights", better="none"),
    ])  # fmt: skip


def _right(cell: Cell, evaluation: str) -> NDArray[np.float64]:
    """(EXAMPLES,) 1 where an example was right: some examples are hard for all, some seeds for all methods."""
    hard = _rng("examples", cell.source, cell.seed % 2).normal(0, 1, EXAMPLES)
    seed = _rng("seed", cell.source, cell.seed).normal(0, 0.1)
    own = _rng(evaluation, cell.method, cell.source, cell.seed).normal(0, 1, EXAMPLES)
    score = hard + seed + own
    return (score < np.quantile(hard + own, _skill(cell))).astype(np.float64)


def _evaluation(
    cell: Cell, name: str, scores: list[Score], pictures: tuple[Picture, ...] = (), examples: str = ""
) -> EvaluationResult:
    return EvaluationResult(
        target=str(cell.source), evaluation=name, status="ok", key=f"key-of-{name}", seconds=0.4, scores=tuple(scores),
        pictures=pictures, examples=examples,
    )  # fmt: skip


def _score(score: str, value: float, unit: str = "fraction", *, better: str = "higher", primary: bool = False,
           role: str = "ranks", chance: float | None = None, proportion: bool = False) -> Score:  # fmt: skip
    low, high = (0.0, 1.0) if unit == "fraction" else (None, None)
    return Score(
        score=score, value=float(value), unit=unit, better=better, primary=primary, chance=chance,  # type: ignore[arg-type]
        n=EXAMPLES, role=role, low=low, high=high, proportion=proportion,  # type: ignore[arg-type]
    )  # fmt: skip


def _image(cell: Cell, staged: Path) -> Picture:
    """A grid of 2 x 12 images of 8 x 8."""
    pixels = _rng("image", cell.method, cell.seed).integers(0, 256, (17, 107), np.uint8)
    Image.fromarray(pixels).save(staged / "reconstructions.png")
    return Picture(name="reconstructions", kind="image", file="reconstructions.png", columns=12, place=10,
                   caption="test images, below what came back", heading="Reconstructions")  # fmt: skip


def _map(cell: Cell, staged: Path) -> Picture:
    """Features in the plane."""
    rng = _rng("map", cell.method, cell.source, cell.seed)
    labels = rng.integers(0, CLASSES, EXAMPLES)
    x, y = rng.normal(0, 1, (2, EXAMPLES)) + labels
    content = {"x": x.round(3).tolist(), "y": y.round(3).tolist(), "label": labels.tolist()}
    (staged / "map.json").write_text(json.dumps({**content, "classes": [str(digit) for digit in range(CLASSES)]}))
    return Picture(name="map", kind="scatter", file="map.json", caption="first two principal components", place=160)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("settings", type=int)
    parser.add_argument("seeds", type=int)
    parser.add_argument("--sources", type=int, default=1)
    parser.add_argument("--no-outcomes", action="store_true", help="as an older version left it")
    asked = parser.parse_args()
    written_run(asked.run, asked.settings, asked.seeds, asked.sources, not asked.no_outcomes)
