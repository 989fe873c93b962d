"""Single-bit flips over every kind of file that Harness stores and reads again: which of them were believed?

Each kind is read as Harness reads it. A flip is believed where reading gives content, and damage is not said: even
where the content is as it was. Only of a frame it must be another: Parquet has words of its own that say nothing of it.

    python tests/faults/flips.py RUN CACHE 5000
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from pandas import DataFrame

from harness.arrays import read_arrays
from harness.data.cache import read_kept
from harness.errors import HarnessError
from harness.judging.kept_networks import read_weights
from harness.records import CellResult
from harness.report.frame import read_frame
from harness.sealed import Damaged, check_binary
from harness.store import RunFolder

Reader = Callable[[], object]  # reads a file; raises, or gives None, where it is damaged


def readers(run: Path, cache: Path) -> dict[Path, tuple[str, Reader]]:
    """The stored files, what kind each is, and how it is read."""
    (result,) = RunFolder(run).load_cells()
    whole = read_frame(run / "results.parquet")
    found: dict[Path, tuple[str, Reader]] = {
        run / "cells" / f"{result.key}.json": ("cell", lambda: _cells(run)),
        run / "plan.json": ("plan", lambda: RunFolder(run).keys() or None),
        run / "request.toml": ("request", lambda: RunFolder(run).request() or None),
        run / "environment.json": ("environment", lambda: RunFolder(run).environment() or None),
        run / "results.parquet": ("frame", lambda: _changed(whole, run / "results.parquet")),
    }
    for name in result.files or {}:
        file = run / name
        if file.suffix == ".safetensors":
            found[file] = ("weights", lambda: RunFolder(run).weights(result))
        elif file.suffix == ".npz":
            found[file] = ("arrays", lambda file=file: read_arrays(file))
        else:
            kind = "picture" if file.suffix == ".png" else "drawing"
            found[file] = (kind, lambda name=name: RunFolder(run).artifact(result, name))
    for file in sorted(cache.rglob("*")):
        if file.suffix == ".json":
            found[file] = ("kept object", lambda file=file: read_kept(file))
        elif file.suffix == ".safetensors":
            found[file] = ("kept network", lambda file=file: read_weights(file))
        elif file.suffix == ".npy":
            found[file] = ("decoded images", lambda file=file: _array(file))
    return found


def _cells(run: Path) -> CellResult | None:
    return next(iter(RunFolder(run).stored().values()), None)


def _changed(whole: DataFrame, file: Path) -> DataFrame | None:
    """The frame where it is another; names and statistics inside a Parquet file can change and mean nothing."""
    frame = read_frame(file)
    return None if frame.equals(whole) else frame


def _array(file: Path) -> int:
    with file.open("rb") as opened:
        return check_binary(opened)


def flip(run: Path, cache: Path, n: int, seed: int = 0) -> tuple[Counter[str], list[str]]:
    """Flip n bits, one at a time, each kind of file as often as every other: how many of each kind, those believed."""
    choose = random.Random(seed)
    by_kind: dict[str, list[tuple[Path, Reader]]] = {}
    for file, (kind, read) in readers(run, cache).items():
        by_kind.setdefault(kind, []).append((file, read))
    tried: Counter[str] = Counter()
    believed = []
    for number in range(n):
        kind = sorted(by_kind)[number % len(by_kind)]
        file, read = choose.choice(by_kind[kind])
        whole = file.read_bytes()
        bit = choose.randrange(8 * len(whole))
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        file.write_bytes(changed)
        try:
            if read() is not None:
                believed.append(f"{kind} {file}, bit {bit} of {8 * len(whole)}")
        except (HarnessError, Damaged, OSError, ValueError):
            pass
        finally:
            file.write_bytes(whole)
        tried[kind] += 1
    return tried, believed


if __name__ == "__main__":
    import logging

    logging.disable(logging.WARNING)
    counts, wrong = flip(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    print(f"{sum(counts.values())} flips ({', '.join(f'{n} {kind}' for kind, n in sorted(counts.items()))})")
    print(f"{len(wrong)} believed", *wrong[:20], sep="\n")
