"""The keeper of a cell: nothing of a cell outlives it, and how it ended is told, whatever the cell does."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path

import psutil
import pytest

from harness.launchers.child import Ends
from harness.launchers.keeper import keep

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a keeper is possible on Linux alone")
FORKS = multiprocessing.get_context("fork")
LONG = 300  # seconds; who waits for this fails
Cell = Callable[[Path], None]  # with a folder to note the numbers of processes in


class Kept:
    """A cell that runs `cell(folder)` under a keeper, seen as a bench sees it."""

    def __init__(self, cell: Cell, folder: Path, memory: int | None = None) -> None:
        self.folder = folder
        messages, theirs = FORKS.Pipe(duplex=False)
        lifeline, self.lifeline = FORKS.Pipe(duplex=False)
        self.verdict, verdict = FORKS.Pipe(duplex=False)
        ends = Ends(messages=theirs, lifeline=lifeline, verdict=verdict, log=folder / "log", memory=memory)

        def run() -> None:
            self.lifeline.close()
            keep(ends)
            with contextlib.suppress(SystemExit):
                cell(folder)
            os._exit(0)

        self.keeper = FORKS.Process(target=run)
        self.keeper.start()
        for end in (theirs, lifeline, verdict, messages):
            end.close()

    def ended(self, seconds: float = 30.0) -> dict[str, object]:
        """Its verdict, when it comes."""
        assert wait([self.keeper.sentinel], timeout=seconds), "the keeper has not ended"
        return json.loads(self.verdict.recv_bytes())

    def noted(self, count: int) -> list[int]:
        """The numbers of so many processes, once they are noted."""
        until = time.monotonic() + 30
        while len(list(self.folder.glob("pid-*"))) < count:
            assert time.monotonic() < until
            time.sleep(0.01)
        return [int(file.name.removeprefix("pid-")) for file in self.folder.glob("pid-*")]


def note(folder: Path) -> None:
    (folder / f"pid-{os.getpid()}").touch()


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def leaves_children(folder: Path) -> None:
    """Three children, deaf to SIGTERM: one in the group, one in a session of its own, and an orphan in one."""
    for way in ("group", "session", "orphan"):
        if os.fork():
            continue
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if way != "group":
            os.setsid()
        if way == "orphan" and os.fork():
            os._exit(0)
        note(folder)
        time.sleep(LONG)
        os._exit(0)
    while len(list(folder.glob("pid-*"))) < 3:
        time.sleep(0.01)


def leaves_and_stays(folder: Path) -> None:
    leaves_children(folder)
    note(folder)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(LONG)


def test_what_a_cell_started_ends_when_it_ends_well(tmp_path: Path) -> None:
    kept = Kept(leaves_children, tmp_path)
    assert kept.ended() == {"code": 0, "memory": False}
    assert [alive(pid) for pid in kept.noted(3)] == [False] * 3


def test_everything_ends_when_the_bench_does(tmp_path: Path) -> None:
    kept = Kept(leaves_and_stays, tmp_path)
    pids = kept.noted(4)
    assert [alive(pid) for pid in pids] == [True] * 4
    kept.lifeline.close()
    assert kept.ended() == {"code": None, "memory": False}
    assert [alive(pid) for pid in pids] == [False] * 4


def test_everything_ends_when_the_keeper_is_asked_to(tmp_path: Path) -> None:
    kept = Kept(leaves_and_stays, tmp_path)
    pids = kept.noted(4)
    os.kill(kept.keeper.pid, signal.SIGINT)  # from a terminal: the bench decides
    os.kill(kept.keeper.pid, signal.SIGTERM)
    assert kept.ended()["code"] is None
    assert [alive(pid) for pid in pids] == [False] * 4


def test_a_cell_ends_with_a_keeper_that_is_killed(tmp_path: Path) -> None:
    kept = Kept(lambda folder: (note(folder), time.sleep(LONG))[0], tmp_path)
    (cell,) = kept.noted(1)
    kept.keeper.kill()
    until = time.monotonic() + 20
    while alive(cell):
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("end", "code"),
    [(lambda folder: os._exit(3), 3), (lambda folder: os.kill(os.getpid(), signal.SIGSEGV), -signal.SIGSEGV)],
)
def test_the_end_of_a_cell_is_told(tmp_path: Path, end: Cell, code: int) -> None:
    assert Kept(end, tmp_path).ended() == {"code": code, "memory": False}


def test_a_closed_output_is_no_end(tmp_path: Path) -> None:
    def closes(folder: Path) -> None:
        os.close(1)
        os.close(2)
        time.sleep(0.3)
        os._exit(4)

    assert Kept(closes, tmp_path).ended()["code"] == 4


def test_memory_beyond_the_limit_ends_the_cell(tmp_path: Path) -> None:
    """Of a child of it, too."""

    here = psutil.Process().memory_info().rss

    def takes(folder: Path) -> None:
        if os.fork():
            time.sleep(LONG)
        blocks = 10 + here // 2**26  # of 64 MiB: beyond the limit whatever of `here` counts as shared
        taken = [bytearray(os.urandom(1 << 20)) * 64 for _ in range(blocks)]
        time.sleep(LONG * len(taken))

    assert Kept(takes, tmp_path, memory=here + 300 * 2**20).ended() == {"code": None, "memory": True}


def test_a_limit_that_is_not_reached_changes_nothing(tmp_path: Path) -> None:
    limit = psutil.Process().memory_info().rss + 2**30
    assert Kept(lambda folder: time.sleep(0.3), tmp_path, memory=limit).ended() == {"code": 0, "memory": False}


def test_what_is_printed_is_in_the_log_to_the_last_word(tmp_path: Path) -> None:
    def prints(folder: Path) -> None:
        os.write(1, b"out\n" * 1000)
        os.write(2, b"last words")
        os._exit(1)

    Kept(prints, tmp_path).ended()
    assert (tmp_path / "log").read_bytes() == b"out\n" * 1000 + b"last words"
