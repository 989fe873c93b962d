"""Harness: how good is a representation?

    results = harness.bench(plugins=["vae", "jigsaw"])
    results.table()

Importing this package is cheap: torch and pandas are loaded when a bench begins.
"""

from __future__ import annotations

import sys

if sys.argv[:1] == ["-m"] and "harness" in sys.orig_argv[1:4] and not sys.flags.safe_path:
    # `python -m harness`: Python looks in the current folder first, where a `queue.py` is no module of Python's
    sys.path.append(sys.path.pop(0))

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from pathlib import Path

    from harness.run import Results, Several

__all__ = ["Results", "__version__", "bench", "load"]


def bench(
    plugins: str | Sequence[str] = ("vae", "jigsaw"),
    *,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    jobs: int | None = None,
    timeout: float | None = None,
    memory_limit: str | None = None,
    launcher: str = "local",
    trackers: str | Sequence[str] = (),
    monitor: int = 0,
    fail_fast: bool = False,
    fresh: bool = False,
    progress: bool = True,
    **request: Any,
) -> Results:
    """Train, freeze, judge and compare; the Python face of `harness bench`.

    `request` takes the words of a suite: tune, tune_by, references, datasets, targets, backbone, devices, precision,
    seeds, evaluations, labels, budget, set, threads, compile, and the report's title and question; text as on the
    command line (`seeds="auto:9"`), or lists.
    `launcher` and `trackers` name plugins, with their parameters: what runs the cells, and what follows the run.
    `timeout` (seconds) and `memory_limit` ("4GB") are what one cell may take.
    `monitor` is the number of moments of each training at which a kNN accuracy on validation is measured, to be looked
    at alone. Raises RequestError for a request that makes no sense; a cell that fails is a row of the results, not an
    error.
    """
    from pathlib import Path

    from harness.cli.progress import progress_listener
    from harness.options import bytes_of
    from harness.registry import Registry
    from harness.run import Options, carry_out
    from harness.suite import make_request

    options = Options(
        out=Path(out) if out else None,
        data_dir=str(data_dir) if data_dir else None,
        jobs=jobs,
        timeout=timeout,
        memory=None if memory_limit is None else bytes_of(memory_limit),
        launcher=launcher,
        trackers=(trackers,) if isinstance(trackers, str) else tuple(trackers),
        monitor=monitor,
        fail_fast=fail_fast,
        fresh=fresh,
        command="harness.bench() in Python",
    )
    words = make_request({"plugins": plugins, **request})
    return carry_out(words, options, Registry(), progress_listener() if progress else None)


@overload
def load(run: str | Path, /) -> Results: ...


@overload
def load(run: str | Path, other: str | Path, /, *more: str | Path) -> Several: ...


def load(*runs: str | Path) -> Results | Several:
    """The results of a run that is on the disk, as `bench` gave them: `harness.load("runs/vae-jigsaw-on-digits")`.

    Of several runs, one `.frame`, `.pivot()`, `.gain()`, `.examples()`, `.figure()` and `.samples()` of all. Raises
    RequestError where a folder is no run.
    """
    from harness.errors import RequestError
    from harness.run import Several, load_results

    if not runs:
        raise RequestError('name a run: harness.load("runs/vae-jigsaw-on-digits")')
    loaded = tuple(map(load_results, dict.fromkeys(runs)))
    return loaded[0] if len(loaded) == 1 else Several(loaded)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("harness")
        except PackageNotFoundError:
            return "0+unknown"
    if name == "Results":
        from harness.run import Results

        return Results
    raise AttributeError(f"module 'harness' has no attribute '{name}'")
