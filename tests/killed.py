"""A bench in a process of its own, killed in mid-training; and what a run came to, without what time and chance say.

python killed.py FOLDER WORDS     bench with the words of a suite as JSON; states are written after every step
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from harness.state_file import NAME, read_head
from harness.store import RunFolder

OFTEN = {"first": 0.0, "between": 0.0, "share": float("inf")}


def bench(folder: Path, words: dict[str, Any], **options: Any) -> subprocess.Popen:
    """Start it; its output goes to a file beside the folder."""
    given = json.dumps({"words": words, "options": options})
    with Path(f"{folder}.out").open("a") as output:
        return subprocess.Popen(
            [sys.executable, __file__, str(folder), given], stdout=output, stderr=output, start_new_session=True
        )


def finish(folder: Path, words: dict[str, Any], **options: Any) -> RunFolder:
    process = bench(folder, words, **options)
    assert process.wait(timeout=300) in (0, 1), Path(f"{folder}.out").read_text()
    return RunFolder(folder)


def states(folder: Path) -> dict[str, float]:
    """How far the trainings under way are, by the keys of their cells."""
    found = {}
    for file in folder.glob(f"artifacts/*/{NAME}"):
        found[file.parent.name] = float(read_head(file, file.parent.name)["done"])
    return found


def kill_when(process: subprocess.Popen, folder: Path, least: float, *, cell: bool = False) -> dict[str, float]:
    """kill -9 of the bench, or of the process of its cell, once a training is so far; how far all are then."""
    while process.poll() is None:
        if any(done >= least for done in states(folder).values()):
            kill(process, cell=cell)
            return states(folder)
        time.sleep(0.01)
    raise AssertionError(f"it ended by itself: {Path(f'{folder}.out').read_text()}")


def kill(process: subprocess.Popen, *, cell: bool = False) -> None:
    """Wait until nothing of it is left, or until the bench has seen the end of its cell."""
    below = psutil.Process(process.pid).children(recursive=True)
    if cell:
        for child in below:
            if child.is_running() and _is_a_cell(child):
                child.kill()
        process.wait(timeout=120)
        return
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(below, timeout=30)
    assert not alive


def _is_a_cell(process: psutil.Process) -> bool:
    """Its parent, the keeper, and the parent of that, the forkserver, are below the bench; it has no such child."""
    try:
        return len(process.parents()) > 2 and not process.children() and process.num_threads() >= 1 and _kept(process)
    except psutil.NoSuchProcess:
        return False


def _kept(process: psutil.Process) -> bool:
    keeper = process.parent()
    forkserver = keeper.parent() if keeper else None
    return forkserver is not None and "forkserver" in " ".join(forkserver.cmdline())


def outcome(folder: Path) -> dict[str, Any]:
    """All numbers of all cells and the bytes of their weights, but for seconds."""
    found: dict[str, Any] = {}
    for result in RunFolder(folder).load_cells():
        training = result.training
        found[str(result.cell)] = {
            "status": (
                training.status,
                training.reason,
                training.note,
                training.steps,
                training.examples,
                training.loss,
            ),
            "costs": (training.views, training.passes, training.flops, training.parameters, training.precision),
            "curve": [(point.examples, dict(point.scalars)) for point in training.curve],
            "monitor": [(point.examples, dict(point.scalars)) for point in training.monitor],
            "scores": [
                (str(e.target), str(e.evaluation), s.score, s.value, s.n) for e in result.evaluations for s in e.scores
            ],
            "weights": {name: sum_ for name, sum_ in (result.files or {}).items() if name.endswith(".safetensors")},
        }
    return found


def main() -> None:
    from harness.records import StatePace
    from harness.registry import Registry
    from harness.run import Options, carry_out
    from harness.suite import make_request

    given = json.loads(sys.argv[2])
    options = Options(out=Path(sys.argv[1]), state=StatePace(**OFTEN), **given["options"])
    carry_out(make_request(given["words"]), options, Registry())


if __name__ == "__main__":
    main()
