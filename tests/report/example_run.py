"""A run as a bench leaves it: seven methods, three seeds, two targets, with pictures, skips and failures. Seeded."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn import datasets

from harness.records import (
    Budget,
    Cell,
    CellResult,
    CurvePoint,
    EvaluationResult,
    Picture,
    PluginRef,
    Score,
    TrainConfig,
    TrainingResult,
)
from harness.report.frame import tidy_frame
from harness.report.series import with_series
from harness.report.summary import comparisons

load_digits = cache(datasets.load_digits)

#        kind, linear probe accuracy, seconds of training
METHODS = {
    "rotation": ("pretext", 0.953, 21.0),
    "jigsaw": ("pretext", 0.948, 34.0),
    "vae": ("model", 0.902, 12.0),
    "pixels": ("reference", 0.931, 0.0),
    "pca": ("reference", 0.935, 0.05),
    "random-init": ("reference", 0.871, 0.0),
    "supervised": ("reference", 0.981, 18.0),
}
PARAMS = {"jigsaw": {"grid": 3}}
EVALUATIONS = (
    "linear-probe", "knn", "clustering", "representation", "reconstruction", "fid", "pretext", "throughput",
)  # fmt: skip
TARGETS = ("digits", "noisy-digits")
SEEDS = (0, 1, 2)
HEADINGS = {  # of pictures, and the places that they ask for
    "reconstructions": ("Reconstructions", 10),
    "samples": ("Samples", 20),
    "captions": ("Asked for in words", 50),
    "interpolation": ("Interpolation: from one image to another", 70),
    "map": ("Map of the features", 160),
}
FAILED_CELL = ("jigsaw", 2)
FAILED_EVALUATION = ("pca", 1, "clustering", "digits")
HOSTILE = "<script>alert('x')</script> & \"quoted\" | piped"


def write_run(folder: Path, results: list[CellResult]) -> Path:
    """Store the results as a run folder, with a request and an environment."""
    from harness.sealed import dump_sealed, sealed_json, sealed_toml
    from harness.store import dump_result

    (folder / "cells").mkdir(parents=True, exist_ok=True)
    for result in results:
        (folder / "cells" / f"{result.key}.json").write_bytes(sealed_json(dump_result(result)))
    request = 'plugins = ["vae", "jigsaw", "rotation"]\nseeds = [0, 1, 2]\n'
    (folder / "request.toml").write_bytes(sealed_toml(request))
    (folder / "environment.json").write_bytes(dump_sealed(ENVIRONMENT))
    return folder


ENVIRONMENT = {
    "command": "harness bench --plugins vae,jigsaw,rotation --targets digits,noisy-digits",
    "python": "3.11.9",
    "torch": "2.9.0",
    "devices": {"cpu": "An 8-core processor"},
    "git": {"commit": "0123abc", "dirty": False},
    "harness": "0.1.0",
}


def example_results(
    folder: Path, *, seeds: tuple[int, ...] = SEEDS, targets: tuple[str, ...] = TARGETS, torch: str = "2.9.0"
) -> list[CellResult]:
    """All cells of the example; their pictures are written below `folder`."""
    return [_cell(folder, name, seed, targets, torch) for name in METHODS for seed in seeds]


def _cell(folder: Path, name: str, seed: int, targets: tuple[str, ...], torch: str) -> CellResult:
    kind, _, _ = METHODS[name]
    refs = tuple(PluginRef(name=target) for target in targets)
    cell = Cell(
        method=PluginRef(name=name, params=PARAMS.get(name, {})),
        kind=kind,
        backbone=None if name in ("pixels", "pca") else PluginRef(name="convnet"),
        source=refs[0],
        targets=refs,
        evaluations=tuple(PluginRef(name=evaluation) for evaluation in EVALUATIONS),
        device="cpu",
        precision="fp32",
        seed=seed,
        budget=Budget(amount=40, unit="epochs"),
        train=TrainConfig(),
    )
    key = f"{name}-{seed}-{torch.replace('.', '')}"
    training = _training(name, seed)
    failed = training.status != "ok"
    evaluations = [
        _failed(evaluation, target, training.reason)
        if failed
        else _evaluation(folder, key, name, seed, evaluation, target)
        for target in targets
        for evaluation in EVALUATIONS
    ]
    return CellResult(
        key=key,
        cell=cell,
        identity={"method": "vae[beta=1.0,latent_dim=16]" if name == "vae" else str(cell.method)},
        provenance={
            "torch": torch,
            "device_name": "An 8-core processor",
            "keyed": {"method source": f"digest-of-{name}", "backbone source": "c0ffee"},
            "uses": "labels" if name == "supervised" else "",
        },
        training=training,
        evaluations=tuple(evaluations),
        finished=f"2026-05-0{seed + 1}T12:00:00+00:00",
    )


def _rng(*words: object) -> np.random.Generator:
    return np.random.default_rng(list(("|".join(map(str, words))).encode()))


def _training(name: str, seed: int) -> TrainingResult:
    if (name, seed) == FAILED_CELL:
        reason = f"loss is not finite at step 12 {HOSTILE}"
        return TrainingResult(status="failed", reason=reason, traceback="Traceback ...\nValueError: <nan>")
    seconds = METHODS[name][2]
    if seconds < 1:
        return TrainingResult(status="ok", seconds=seconds)
    images = np.linspace(0, 40 * 1079, 25).astype(int)[1:]
    noise = _rng("curve", name, seed).normal(0, 0.02, len(images))
    loss = 0.3 + len(name) / 5 * np.exp(-images / 9000) + noise
    curve = tuple(
        CurvePoint(examples=int(i), seconds=seconds * i / images[-1], scalars={"loss": float(value)})
        for i, value in zip(images, loss, strict=True)
    )
    return TrainingResult(
        status="ok", seconds=seconds * (1 + seed / 20), steps=340, examples=43_160, parameters=53_216,
        loss=float(loss[-1]), curve=curve,
    )  # fmt: skip


def _failed(evaluation: str, target: str, reason: str) -> EvaluationResult:
    return EvaluationResult(
        target=target, evaluation=evaluation, status="failed", key="k", reason=f"not trained: {reason}"
    )


def _evaluation(folder: Path, key: str, name: str, seed: int, evaluation: str, target: str) -> EvaluationResult:
    base = EvaluationResult(target=target, evaluation=evaluation, status="ok", key="k", seconds=0.4)
    needs = {"reconstruction": ("vae", "pca"), "fid": ("vae",), "pretext": ("rotation", "jigsaw")}
    if name not in needs.get(evaluation, METHODS):
        return replace(base, status="skipped", reason=f"{name} cannot do what {evaluation} needs", seconds=0.0)
    if (name, seed, evaluation, target) == FAILED_EVALUATION:
        return replace(base, status="failed", reason="ValueError: k-means met an empty cluster")
    note = "target resized from 28x28x1 to 8x8x1" if target != "digits" else ""
    scores = SCORES[evaluation](name, seed, target)
    return replace(base, scores=scores, note=note, pictures=_pictures(folder, key, name, seed, evaluation, target))


def _score(score: str, value: float, unit: str, better: str, *, primary: bool = False, **more: object) -> Score:
    defaults = {"chance": None, "n": 360, **({"low": 0.0, "high": 1.0} if unit == "fraction" else {})}
    return Score(score=score, value=float(value), unit=unit, better=better, primary=primary, **{**defaults, **more})


def _probe(name: str, seed: int, target: str, evaluation: str, drop: float) -> tuple[Score, ...]:
    shared = _rng("seed", seed).normal(0, 0.006)  # seeds are paired: some splits are harder for all
    noise = 0 if name == "pixels" else _rng(evaluation, name, seed, target).normal(0, 0.003) + shared
    accuracy = METHODS[name][1] - drop - (0.2 if target != "digits" else 0) + noise
    role = "leads" if evaluation == "linear-probe" else "follows"
    return (
        _score("accuracy", accuracy, "fraction", "higher", primary=True, chance=0.1, role=role, proportion=True),
        _score("balanced_accuracy", accuracy - 0.001, "fraction", "higher", chance=0.1),
        _score("calibration_error", 0.02 + abs(noise), "fraction", "lower"),
    )


SCORES = {
    "linear-probe": lambda *where: _probe(*where, "linear-probe", 0.0),
    "knn": lambda *where: _probe(*where, "knn", 0.03),
    "clustering": lambda name, seed, target: (
        _score("nmi", 0.5 + METHODS[name][1] / 5 + _rng("c", name, seed).normal(0, 0.01), "fraction", "higher",
               primary=True),
        _score("ari", 0.45 + METHODS[name][1] / 6, "fraction", "higher"),
    ),
    "representation": lambda name, seed, target: (
        _score("rankme", 10 + 20 * METHODS[name][1] + seed / 3, "dimensions", "none", primary=True),
        _score("uniformity", -2.4, "nats", "lower"),
    ),
    "reconstruction": lambda name, seed, target: (
        _score("psnr", 21.3 + _rng("r", name, seed).normal(0, 0.2), "dB", "higher", primary=True),
        _score("mse", 0.0074, "squared intensity", "lower"),
    ),
    "fid": lambda name, seed, target: (
        _score("frechet_distance", 34.2 + seed, "squared feature distance", "lower", primary=True,
               note="features of digits-cnn 64-d, sha 12ab"),
        _score("frechet_floor", 2.1, "squared feature distance", "none", beside="frechet_distance", word="floor"),
    ),
    "pretext": lambda name, seed, target: (
        _score("accuracy", 0.87 + seed / 100, "fraction", "higher", primary=True, role="told", proportion=True,
               chance=0.25 if name == "rotation" else 1 / 24),
    ),
    "throughput": lambda name, seed, target: (
        _score("encode_images_per_second", 81_000 * METHODS[name][1], "images/s", "higher", primary=True,
               role="told", low=0.0),
        _score("latency_p50", 0.0021, "s", "lower"),
        _score("parameters", 53_216, "weights", "none"),
    ),
}  # fmt: skip


def _pictures(folder: Path, key: str, name: str, seed: int, evaluation: str, target: str) -> tuple[Picture, ...]:
    if evaluation == "linear-probe":
        return (_map(folder, key, name, seed, target),)
    if name != "vae" or evaluation not in ("reconstruction", "fid"):
        return ()
    if evaluation == "fid":
        return (_image(folder, key, "samples", target, seed), _captions(folder, key, target, seed))
    rebuilt = _image(folder, key, "reconstructions", target, seed)
    named = replace(rebuilt, row_names=("test image", "came back", "another", "came back"))
    return (named, _image(folder, key, "interpolation", target, seed))


def _captions(folder: Path, key: str, target: str, seed: int) -> Picture:
    """Images with words under them, the last of them hostile."""
    picture = _image(folder, key, "captions", target, seed)
    words = [f"the digit {number % 10}\n✓" for number in range(4 * 12 - 1)]
    return replace(picture, caption="Asked for in words", texts=(*words, f"the digit 7\n✗ {HOSTILE}"))


def _image(folder: Path, key: str, picture: str, target: str, seed: int) -> Picture:
    file = Path("artifacts") / key / f"{target}-{picture}.png"
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    pick = _rng(picture, seed).integers(0, 1797, (4, 12))
    grid = np.full((4 * 9 - 1, 12 * 9 - 1), 255, np.uint8)
    for row, column in np.ndindex(pick.shape):
        image = load_digits().images[pick[row, column]] / 16 * 255
        grid[row * 9 : row * 9 + 8, column * 9 : column * 9 + 8] = image
    Image.fromarray(grid).save(folder / file)
    caption = f"{picture} of test images: first row the images, below what came back"
    heading, place = HEADINGS[picture]
    return Picture(
        name=picture, kind="image", file=str(file), caption=caption, columns=12, heading=heading, place=place
    )


@cache
def _plane() -> tuple[np.ndarray, np.ndarray]:
    data, labels = load_digits().data[:360], load_digits().target[:360]
    data = data - data.mean(0)
    return data @ np.linalg.svd(data, full_matrices=False)[2][:2].T, labels


def _map(folder: Path, key: str, name: str, seed: int, target: str) -> Picture:
    file = Path("artifacts") / key / f"{target}-map.json"
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    points, labels = _plane()
    points = points + _rng("map", name).normal(0, 3, points.shape)
    content = {"x": points[:, 0].round(3).tolist(), "y": points[:, 1].round(3).tolist(), "label": labels.tolist()}
    (folder / file).write_text(json.dumps({**content, "classes": [str(digit) for digit in range(10)]}))
    heading, place = HEADINGS["map"]
    caption = "first two principal components, test images"
    return Picture(name="map", kind="scatter", file=str(file), caption=caption, heading=heading, place=place)


def compare(results):
    frame, series = with_series(tidy_frame(results, "run"))
    return comparisons(frame, series)


def rows_of(comparison):
    return {row.series.method.partition("[")[0]: row for row in comparison.rows}
