"""Benches in processes of their own, to be killed at any moment; and what a run came to, without what time says.

A warm process has imported all and has a forkserver; it forks a bench for each line that it is sent, so that one begins
at once. A bench that is killed leaves that forkserver, and its cells end as they do where it has one of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from harness.sealed import Damaged
from harness.state_file import NAME, read_head
from harness.store import RunFolder

EVERY_STEP = {"first": 0.0, "between": 0.0, "share": float("inf")}
TIMED = {"seconds", "finished"}  # names, or their ends, of columns that tell of time


class Benches:
    """Starts benches. Close it."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.warm = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def start(self, folder: Path, words: dict[str, Any], pace: dict[str, float] = EVERY_STEP) -> psutil.Process:
        assert self.warm.stdin is not None
        assert self.warm.stdout is not None
        self.warm.stdin.write(json.dumps({"folder": str(folder), "words": words, "pace": pace}) + "\n")
        self.warm.stdin.flush()
        return psutil.Process(int(self.warm.stdout.readline()))

    def finish(self, folder: Path, words: dict[str, Any], pace: dict[str, float] = EVERY_STEP) -> dict[str, Any]:
        """Run it to its end; what it came to."""
        wait(self.start(folder, words, pace))
        return outcome(folder)

    def cells(self) -> list[psutil.Process]:
        """The processes of cells: warm process, forkserver, keeper, cell."""
        found = psutil.Process(self.warm.pid).children()
        for _ in range(2):
            found = [child for process in found for child in _children(process)]
        return found

    def kill_when(self, least: float, folder: Path, words: dict[str, Any]) -> dict[str, float]:
        """kill -9 of a bench, once a training is so far; how far each is, by the keys of their cells, now ended too."""
        bench = self.start(folder, words)
        while is_alive(bench):
            if any(done >= least for done in states(folder).values()):
                bench.suspend()  # what its cells come to from now on is not stored
                cells = self.cells()
                kill(bench)
                assert all(wait(process, 60) for process in (*cells, *self.cells()))
                return states(folder)
            time.sleep(0.01)
        raise AssertionError(f"it ended by itself: {Path(f'{folder}.out').read_text()}")

    def close(self) -> None:
        for end in (self.warm.stdin, self.warm.stdout):
            assert end is not None
            end.close()
        self.warm.wait(timeout=60)


def wait(bench: psutil.Process, seconds: float = 600) -> bool:
    """Until it has ended; False where it has not after so many seconds."""
    deadline = time.monotonic() + seconds
    while is_alive(bench):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill(bench: psutil.Process) -> None:
    """kill -9, and wait until the folder is free: its lock is gone with the process. Its cells may live a moment on."""
    with contextlib.suppress(psutil.NoSuchProcess):
        bench.kill()
    wait(bench)


def states(folder: Path) -> dict[str, float]:
    """How far the trainings under way are, by the keys of their cells."""
    found = {}
    for file in folder.glob(f"artifacts/*/{NAME}"):
        with contextlib.suppress(FileNotFoundError, Damaged):  # it is removed when the cell ends
            found[file.parent.name] = float(read_head(file, file.parent.name)["done"])
    return found


def outcome(folder: Path) -> dict[str, Any]:
    """All of each cell's result, and the bytes of its weights by their checksum, but for times."""
    return {result.key: _untimed(_plain(result)) for result in RunFolder(folder).stored().values()}


def _plain(result: Any) -> Any:
    from harness.store import dump_result

    return json.loads(dump_result(result))


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _untimed(each) for name, each in value.items() if name not in TIMED}
    return [_untimed(each) for each in value] if isinstance(value, list) else value


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


# The warm process. ------------------------------------------------------------------------------------------------


def serve() -> None:
    from importlib import import_module
    from multiprocessing import forkserver

    from harness.launchers.process import _context
    from harness.plan import make_plan
    from harness.registry import Registry
    from harness.suite import make_request

    for module in ("torch", "matplotlib.pyplot", "pandas", "pyarrow.parquet", "scipy.stats", "jinja2"):
        import_module(module)
    _context()
    forkserver.ensure_running()
    signal.signal(signal.SIGCHLD, lambda *_: _reap())
    for line in sys.stdin:
        given = json.loads(line)
        make_plan(make_request(given["words"]), Registry(), RunFolder("nowhere"))  # imports what a bench will
        pid = os.fork()
        if not pid:
            os._exit(run(given))
        print(pid, flush=True)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def run(given: dict[str, Any]) -> int:
    """A bench, in a fork of the warm process."""
    import traceback
    from multiprocessing import forkserver

    from harness.records import StatePace
    from harness.registry import Registry
    from harness.run import Options, carry_out
    from harness.suite import make_request

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    forkserver._forkserver.ensure_running = lambda: None  # type: ignore[method-assign]
    os.setsid()
    output = os.open(f"{given['folder']}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (0, 1, 2):
        os.dup2(output, descriptor)
    try:
        options = Options(out=Path(given["folder"]), state=StatePace(**given["pace"]))
        carry_out(make_request(given["words"]), options, Registry())
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    import harness.report
    import harness.run  # noqa: F401

    serve()
