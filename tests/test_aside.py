"""Code beside this process: what it tells comes here, and no end of it is the end of this one."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness.aside import Beside, Gone, Tell, aside, rehearse
from harness.errors import BrokenPlugin, HarnessError, NoProcess, RequestError, UnknownName

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a process beside this one is possible on Linux alone")


def all_told(work: Callable[[Tell], object], seconds: float = 30.0) -> list[object]:
    return list(aside(work, seconds=seconds))


def hangs() -> None:
    time.sleep(600)


def loops() -> None:
    while True:
        pass


def reads_null() -> None:
    ctypes.string_at(0)


def exits() -> None:
    os._exit(0)


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_what_is_told_comes_in_order_and_nothing_is_left() -> None:
    before = children()
    assert all_told(lambda tell: [tell({"n": n, "pid": os.getpid() == 1}) for n in range(3)]) == [
        {"n": n, "pid": False} for n in range(3)
    ]
    assert children() == before


def test_it_happens_in_another_process() -> None:
    state: list[int] = []
    (pid,) = all_told(lambda tell: (state.append(1), tell(os.getpid())))
    assert (pid != os.getpid(), state) == (True, [])


@pytest.mark.parametrize(
    ("work", "how"),
    [
        (exits, r"ended the process, exit code 0 in exits \(test_aside.py, line \d+\)"),
        (reads_null, r"ended the process, SIGSEGV in reads_null \(test_aside.py, line 37\)"),
        (lambda: os.abort(), r"ended the process, SIGABRT in <lambda> \(test_aside.py"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), r"ended the process, SIGKILL"),
        (hangs, r"gave no answer for 1 s in hangs \(test_aside.py, line \d+\)"),
        (loops, r"gave no answer for 1 s in loops \(test_aside.py, line \d+\)"),
        (lambda: os.kill(os.getpid(), signal.SIGSTOP), r"gave no answer for 1 s"),
    ],
)
def test_each_end_is_told_with_its_place(work: Callable[[], None], how: str) -> None:
    told = aside(lambda tell: (tell("begun"), work()), seconds=1.0)
    assert next(told) == "begun"
    with pytest.raises(Gone, match=how):
        next(told)


def test_a_child_that_holds_the_pipe_delays_nothing() -> None:
    def leaves(tell: Tell) -> None:
        if os.fork() == 0:
            time.sleep(600)
        tell("left")
        os.kill(os.getpid(), signal.SIGKILL)

    started = time.monotonic()
    with pytest.raises(Gone, match="SIGKILL"):
        all_told(leaves, seconds=120)
    assert time.monotonic() - started < 60


def test_errors_keep_their_kind_and_others_become_one_line() -> None:
    def fails(error: BaseException) -> Callable[[Tell], None]:
        def work(tell: Tell) -> None:
            raise error

        return work

    with pytest.raises(UnknownName, match="no method 'x'"):
        all_told(fails(UnknownName("no method 'x'")))
    with pytest.raises(HarnessError, match=r"SystemExit: 0 \(test_aside.py:\d+\)"):
        all_told(fails(SystemExit(0)))
    with pytest.raises(HarnessError, match="ValueError: two lines"):
        all_told(fails(ValueError("two\nlines")))


def test_a_rehearsal_names_who_it_was_and_leaves_errors_to_the_play(tmp_path: Path) -> None:
    rehearse("plugin 'a'", lambda: (tmp_path / "done").touch(), seconds=30.0)
    assert (tmp_path / "done").exists()
    with pytest.raises(BrokenPlugin, match=r"plugin 'b' ended the process, exit code 0 in exits \(test_aside.py"):
        rehearse("plugin 'b'", exits, seconds=30.0)

    def raises() -> None:
        raise RequestError("told later")

    rehearse("plugin 'c'", raises, seconds=30.0)


def test_what_it_prints_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    rehearse("plugin 'a'", lambda: os.write(1, b"noise"), seconds=30.0)
    assert capfd.readouterr().out == ""


def test_an_interrupt_at_any_moment_ends_it_and_nothing_else_is_done_there(tmp_path: Path) -> None:
    """Not even where it comes while the process is ending."""
    here = os.getpid()
    for number in range(60):
        try:
            beside = Beside(lambda connection: None, quiet=True)
            time.sleep(number * 3e-4)
            beside.interrupt(30)
        finally:
            if os.getpid() != here:
                (tmp_path / "went on").touch()
                os._exit(1)
    assert not (tmp_path / "went on").exists()


def test_what_is_interrupted_cleans_up(tmp_path: Path) -> None:
    def work(connection: object) -> None:
        try:
            (tmp_path / "began").touch()
            time.sleep(600)
        finally:
            (tmp_path / "cleaned").touch()

    beside = Beside(work, quiet=True)
    while not (tmp_path / "began").exists():
        time.sleep(0.01)
    beside.interrupt(30)
    assert (tmp_path / "cleaned").exists()


@pytest.mark.parametrize("begin", [lambda: list(aside(exits, seconds=1)), lambda: rehearse("it", exits, seconds=1)])
def test_where_no_process_can_be_started_that_is_said(
    begin: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of a stranger is carried out here."""

    def full() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", full)
    with pytest.raises(NoProcess, match=r"^no process can be started \(Resource temporarily unavailable\): end others"):
        begin()
