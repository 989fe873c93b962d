"""A matrix of cells whose bench, or one of its cells, is killed at random moments until all cells are finished."""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
from killed import Benches, is_alive, kill, outcome, states, wait

MATRIX: dict[str, Any] = {  # 24 cells: an autoencoder, two networks in turn, a queue, an average of weights
    "plugins": "vae,gan,moco,byol[hidden=32,projection=16]",
    "datasets": "digits",
    "seeds": 6,
    "budget": "60 steps",
    "references": "none",
    "evaluations": "knn",
}
PACE = {"first": 0.05, "between": 0.05, "share": float("inf")}
OF_A_CELL = 0.25  # of the kills


def killed_often(folder: Path, kills: int, seed: int, mean: float = 1.5) -> Counter[str]:
    """Kill so often, in as many runs of the matrix as that takes; each must come to what an undisturbed one comes to.

    mean: seconds that a bench has until it is killed, drawn uniformly up to twice that. What is counted: kills, runs,
    trainings that went on, lost cells, runs that differ.
    """
    draw, told = random.Random(seed), Counter[str]()
    benches = Benches()
    try:
        whole = benches.finish(folder / "whole", MATRIX, PACE)
        assert len(whole) == 24
        assert all(cell["training"]["status"] == "ok" for cell in whole.values())
        while told["kills"] < kills:
            run = folder / "killed"
            _until_finished(benches, run, kills, mean, draw, told, whole)
            told["runs"] += 1
            told["runs that differ"] += outcome(run) != whole
            told["states left"] += len(states(run))
            shutil.rmtree(run)
    finally:
        benches.close()
    return told


def _until_finished(
    benches: Benches, run: Path, kills: int, mean: float, draw: random.Random, told: Counter[str], whole: dict[str, Any]
) -> None:
    finished: dict[str, bytes] = {}
    while len(finished) < len(whole):
        told["trainings under way at a start"] += len(states(run))
        bench = benches.start(run, MATRIX, PACE)
        if told["kills"] < kills and not wait(bench, draw.uniform(0, 2 * mean)):
            _kill_one(benches, bench, draw, told)
        wait(bench)
        stored = {file.stem: file.read_bytes() for file in run.glob("cells/*.json")}
        told["lost cells"] += sum(stored.get(key) != content for key, content in finished.items())
        finished = {key: stored[key] for key, cell in outcome(run).items() if _is_finished(cell)}


def _is_finished(cell: dict[str, Any]) -> bool:
    """Trained and judged: a cell whose process was killed while it was judged has a failed row, which is made again."""
    return all(part["status"] == "ok" for part in (cell["training"], *cell["evaluations"]))


def _kill_one(benches: Benches, bench: psutil.Process, draw: random.Random, told: Counter[str]) -> None:
    cells = benches.cells()
    if cells and draw.random() < OF_A_CELL:
        with contextlib.suppress(psutil.NoSuchProcess):
            draw.choice(cells).kill()
        told["of a cell"] += 1
        told["kills"] += 1
        time.sleep(draw.uniform(0, 0.5))
    if is_alive(bench):
        kill(bench)
        told["kills"] += 1
        told["of the bench"] += 1
    if told["kills"] % 10 == 0:
        print(dict(told), flush=True)


if __name__ == "__main__":
    import sys

    began = time.time()
    print(killed_often(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])), f"{time.time() - began:.0f} s")
