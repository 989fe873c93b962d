"""What a cell costs beside its work: a process, seeding, reading its data, storing its result.

    python -m pytest benchmarks/speed/test_cell_overhead.py -o addopts="" -s

Cells of the `pixels` reference, which has nothing to train, without evaluations, one at a time: what remains is what
Harness adds. The forkserver runs already, as it does for all cells of a run but the first.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from pytest_benchmark.fixture import BenchmarkFixture

import harness

MOST_SECONDS = 0.100
CELLS, ROUNDS = 20, 3


def cells(n: int, out: Path) -> float:
    """Seconds from the first event of a run to its last, without planning and reporting."""
    from harness.plugin.hookspecs import hookimpl
    from harness.registry import Registry
    from harness.run import Options, carry_out
    from harness.suite import make_request

    class Clock:
        started = ended = 0.0

        @hookimpl
        def harness_run_started(self) -> None:
            self.started = time.perf_counter()

        @hookimpl
        def harness_run_finished(self) -> None:
            self.ended = time.perf_counter()

    clock, registry = Clock(), Registry()
    registry.manager.register(clock)
    request = make_request({"plugins": "pixels", "references": "none", "evaluations": "none", "seeds": n})
    results = carry_out(request, Options(out=out, jobs=1), registry)
    assert results.ok
    assert len(results.cells) == n
    return clock.ended - clock.started


def test_a_cell_adds_less_than_a_tenth_of_a_second(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    harness.bench("pixels", references="none", evaluations="none", seeds=1, out=tmp_path / "first", progress=False)
    folders = (tmp_path / f"many-{round}" for round in range(ROUNDS + 1))
    seconds = median(cells(CELLS, next(folders)) for _ in range(ROUNDS)) / CELLS
    benchmark.extra_info["seconds per cell"] = seconds
    benchmark.pedantic(lambda: cells(CELLS, next(folders)), rounds=1)
    print(f"\na cell adds {1000 * seconds:.0f} ms")
    assert seconds < MOST_SECONDS
