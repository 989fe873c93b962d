"""A stranger's code in a process beside this one: if it exits, crashes or hangs, this process learns it and goes on.

The process is a fork, so that it knows all that this one does, and starts in milliseconds. Linux only: elsewhere a fork
is not safe, and the code runs in this process, as nothing else could be said to know the same.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import IO, Any, NoReturn

from harness import errors
from harness.descendants import become_reaper, die_with, kill_below, kill_group
from harness.last_words import crash_in, ending
from harness.reasons import reason_of

POSSIBLE = sys.platform == "linux"
BETWEEN_LOOKS = 0.1  # seconds, on a kernel that does not show the end of a process
LAST_STACK = 1.0  # seconds that a process which is to end may take to write where it is
Tell = Callable[[Any], None]  # with a value that JSON has

_leave = os._exit


class Gone(Exception):
    """The process beside this one ended before its work did: "SIGSEGV in describe (mine.py, line 3)"."""


class Beside:
    """A forked process that carries out `work(connection)`, and that can be listened to; `end` it in any case."""

    def __init__(self, work: Callable[[Connection], None], *, quiet: bool) -> None:
        """Raises NoProcess."""
        self.code: int | None = None
        try:
            with contextlib.ExitStack() as opened:
                self.stacks: IO[bytes] = opened.enter_context(tempfile.TemporaryFile())
                self.connection, theirs = Pipe()
                opened.enter_context(self.connection)
                with theirs:
                    self.pid = self._forked(work, theirs, quiet=quiet)
                opened.pop_all()  # `end` closes them
        except OSError as error:
            raise errors.NoProcess(
                f"no process can be started ({error.strerror}): end others, or raise the limits that `ulimit -a` tells"
            ) from error

    def _forked(self, work: Callable[[Connection], None], theirs: Connection, *, quiet: bool) -> int:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        parent = os.getpid()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # Ctrl-C is for one of them
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of other threads: none comes along
                pid = os.fork()
            if pid == 0:
                self._work(work, theirs, parent, before, quiet=quiet)
            return pid
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _work(self, *arguments: Any, quiet: bool) -> NoReturn:
        try:
            self._carried_out(*arguments, quiet=quiet)
        finally:  # whatever was raised, and whenever: nothing that the parent does next is done here too
            _leave(0)

    def _carried_out(
        self, work: Callable[[Connection], None], connection: Connection, parent: int, unblocked: Any, *, quiet: bool
    ) -> None:
        try:
            self.connection.close()
            os.setsid()
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a bench in the background ignores it
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
            die_with(parent)
            become_reaper()
            if quiet:
                nowhere = os.open(os.devnull, os.O_RDWR)
                for descriptor in (0, 1, 2):
                    os.dup2(nowhere, descriptor)
            faulthandler.enable(self.stacks)
            os._exit = self._told_exit  # type: ignore[assignment]  # a plugin that leaves by it leaves no other trace
            if "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(1)  # OpenMP's pool did not come along
            work(connection)
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        finally:
            kill_below(os.getpid())

    def _told_exit(self, code: int) -> NoReturn:
        faulthandler.dump_traceback(self.stacks)
        _leave(code)

    def heard(self, seconds: float) -> bytes:
        """Its next message. Raises Gone where it ends without one, or says nothing for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            ready = wait([self.connection], timeout=BETWEEN_LOOKS)
            if ready or (self._ended() and wait([self.connection], timeout=0)):
                try:
                    return self.connection.recv_bytes()
                except (EOFError, OSError):
                    break
            if self.code is not None:
                break
        else:
            self._stop(signal.SIGABRT)  # faulthandler writes where it is
            raise Gone(f"gave no answer for {seconds:g} s{self._where()}")
        self._stop(signal.SIGKILL)
        raise Gone(f"ended the process, {self._how()}{self._where()}")

    def _ended(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code is not None

    def _stop(self, first: int) -> None:
        """End it, and what it started."""
        until = time.monotonic() + LAST_STACK
        while not self._ended() and time.monotonic() < until:
            if first != signal.SIGKILL:
                os.kill(self.pid, first)
                first = signal.SIGKILL
            time.sleep(0.01)
        kill_below(self.pid)
        if not self._ended():
            os.kill(self.pid, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
            self.code = os.waitstatus_to_exitcode(status)
        kill_group(self.pid)  # what went away from there is not found

    def end(self) -> None:
        """Nothing of it is left."""
        self.connection.close()
        self._stop(signal.SIGKILL)
        self.stacks.close()

    def interrupt(self, seconds: float) -> None:
        """Let it clean up for so long, as after Ctrl-C, and hear it no more; nothing of it is left."""
        until = time.monotonic() + seconds
        try:
            if not self._ended():
                os.kill(self.pid, signal.SIGINT)
            self.connection.close()
            while not self._ended() and time.monotonic() < until:
                time.sleep(0.01)
        finally:
            self.end()

    def _how(self) -> str:
        return ending(self.code or 0)

    def _where(self) -> str:
        """` in describe (mine.py, line 3)`, where that is known."""
        self.stacks.seek(0)
        frame = crash_in(self.stacks.read().decode(errors="replace"), besides=Path(__file__).name)
        return f" in {frame}" if frame else ""


def aside(work: Callable[[Tell], None], *, seconds: float, quiet: bool = True) -> Iterator[Any]:
    """What `work(tell)` tells, carried out beside this process, as it tells it.

    Raises Gone where it ends the process, or tells nothing for so many seconds; the HarnessError that `work` raises;
    and HarnessError, in one line, for any other exception of it. `quiet`: what it prints goes nowhere.
    """
    if not POSSIBLE:
        told: list[Any] = []
        work(told.append)
        yield from told
        return

    def tell_all(connection: Connection) -> None:
        last = ["done", "", ""]
        try:
            work(lambda value: connection.send_bytes(json.dumps(["told", value]).encode()))
        except (Exception, SystemExit) as error:
            text = str(error) if isinstance(error, errors.HarnessError) else reason_of(error)
            last = ["raised", type(error).__name__, text]
        connection.send_bytes(json.dumps(last).encode())

    beside = Beside(tell_all, quiet=quiet)
    try:
        while True:
            what, *content = json.loads(beside.heard(seconds))
            if what == "done":
                return
            if what == "raised":
                raise same_error(*content)
            yield content[0]
    finally:
        beside.end()


def same_error(name: str, text: str) -> errors.HarnessError:
    """An error that was raised beside this process, by the name of its class."""
    kind = getattr(errors, name, None)
    known = isinstance(kind, type) and issubclass(kind, errors.HarnessError)
    return kind(text) if known else errors.HarnessError(text)  # type: ignore[misc]


def rehearse(title: str, work: Callable[[], object], *, seconds: float) -> None:
    """Carry out `work` beside this process first, where it cannot end this one.

    Raises BrokenPlugin, which says that it is `title` that exits, crashes or hangs, or raises what nobody expected, and
    NoProcess. A HarnessError that `work` raises is left to be raised in this process.
    """
    if not POSSIBLE:
        return
    try:
        for _ in aside(lambda tell: (work(), None)[1], seconds=seconds):
            pass
    except errors.NoProcess:
        raise
    except Gone as how:
        raise errors.BrokenPlugin(f"{title} {how}") from None
    except errors.HarnessError as error:
        if type(error) is errors.HarnessError:  # made of another exception, in one line
            raise errors.BrokenPlugin(f"{title} failed: {error}") from None
