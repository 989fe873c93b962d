"""A launcher of others, in a process of its own: what ends that process, what the launcher raises, and what it gives in
the place of results, ends the bench in one line.

It may wait as long as it wants to: for a queue, days. Where a process of its own cannot be had (`harness.aside`), it
runs in the bench itself.
"""

from __future__ import annotations

import contextlib
import math
import pickle
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from harness.aside import POSSIBLE, Beside, Gone, same_error
from harness.errors import BrokenPlugin, HarnessError
from harness.plugin.launching import Assignment, Conditions, Launcher
from harness.reasons import reason_of
from harness.records import CellResult
from harness.store import dump_result, load_result

KEPT = "what is finished is kept, and the same command goes on from there"
STARTING = 120.0  # seconds that it may take to start: it may have a cluster to find
STOPPING = 30.0  # seconds that it may take to end what runs, when the bench stops
Build = Callable[[Conditions], Launcher]


class StrangeLauncher:
    """Carries out tasks by a launcher of others, here; `title` is what messages call it."""

    def __init__(self, title: str, build: Build, conditions: Conditions) -> None:
        self.title = title
        try:
            self.launcher = build(conditions)
        except HarnessError:
            raise
        except (Exception, SystemExit) as error:
            raise BrokenPlugin(f"{title} cannot start: {reason_of(error)}") from error
        if not callable(getattr(self.launcher, "run", None)):
            found = type(self.launcher).__name__
            raise BrokenPlugin(f"{title} cannot start: build gave a {found}, expected one with run()")

    def run(self, assignments: Sequence[Assignment], *, alone: bool) -> Generator[CellResult, None, None]:
        """The results of the tasks, each once. Raises BrokenPlugin for what is none, and for what it raises."""
        asked = {assignment.task.key for assignment in assignments}
        try:
            with closing(self.launcher.run(assignments, alone=alone)) as results:
                for result in results:
                    if not isinstance(result, CellResult):
                        found = type(result).__name__
                        raise BrokenPlugin(f"{self.title} gave a {found}, expected a CellResult; {KEPT}")
                    if result.key not in asked:
                        raise BrokenPlugin(f"{self.title} gave a second result, or one that nobody asked for; {KEPT}")
                    asked.remove(result.key)
                    yield result
        except HarnessError:
            raise
        except (Exception, SystemExit) as error:
            raise BrokenPlugin(f"{self.title} failed: {reason_of(error)}; {KEPT}") from error

    def close(self) -> None:
        """There is nothing to close."""


class LauncherApart:
    """A StrangeLauncher in a process beside this one. Close it.

    It is sent the tasks of a run, and asked for each result once the one before is stored; between, it tells of events.
    A bench that stops interrupts it, as Ctrl-C would.
    """

    def __init__(self, title: str, build: Build, conditions: Conditions) -> None:
        self.title = title
        self.tell = conditions.tell
        self.beside = Beside(lambda connection: _serve(connection, title, build, conditions), quiet=False)
        try:
            list(self._answers(STARTING))
        except BaseException as error:
            self.close()
            if isinstance(error, Gone):
                raise BrokenPlugin(f"{title} cannot start: it {error}") from None
            raise

    def run(self, assignments: Sequence[Assignment], *, alone: bool) -> Generator[CellResult, None, None]:
        """The results of the tasks, each once. Raises BrokenPlugin where it fails, or ends its process."""
        try:
            self._ask((list(assignments), alone))
            for content in self._answers(math.inf):
                yield load_result(content)
                self._ask(None)
        except Gone as how:
            raise BrokenPlugin(f"{self.title} {how}; {KEPT}") from None
        except BaseException as error:  # the bench stops, if only because of what was told or given
            self.beside.interrupt(STOPPING)
            if isinstance(error, HarnessError) or not isinstance(error, Exception):
                raise
            raise BrokenPlugin(f"{self.title} failed: {reason_of(error)}; {KEPT}") from error

    def close(self) -> None:
        """Nothing of it is left."""
        self.beside.end()

    def _ask(self, what: Any) -> None:
        with contextlib.suppress(OSError):  # it is gone: no answer says how
            self.beside.connection.send_bytes(pickle.dumps(what))

    def _answers(self, seconds: float) -> Iterator[bytes]:
        """The results that it gives until it says that these are all. Raises what it raised."""
        while True:
            kind, *content = pickle.loads(self.beside.heard(seconds))
            if kind == "told":
                hook, news = content
                self.tell(hook, **news)
            elif kind == "gave":
                yield content[0]
            elif kind == "raised":
                raise same_error(*content)
            else:
                return


def strange_launcher(title: str, build: Build, conditions: Conditions) -> StrangeLauncher | LauncherApart:
    """A launcher of others that can end no bench, as far as that is possible here."""
    return (LauncherApart if POSSIBLE else StrangeLauncher)(title, build, conditions)


def _serve(connection: Connection, title: str, build: Build, conditions: Conditions) -> None:
    """In its process: build the launcher, and carry out what is asked for until the bench ends or interrupts it."""
    from multiprocessing import forkserver  # which there is no use for elsewhere

    forkserver._forkserver.__init__()  # type: ignore[misc]  # that of the bench serves no other process
    one_at_a_time = threading.Lock()

    def say(*message: Any) -> None:
        content = pickle.dumps(message)
        with one_at_a_time, contextlib.suppress(OSError):  # the bench listens no more
            connection.send_bytes(content)

    def tell(hook: str, **news: Any) -> None:
        say("told", hook, news)

    try:
        launcher = StrangeLauncher(title, build, replace(conditions, tell=tell))
        say("over")
        while True:
            assignments, alone = pickle.loads(connection.recv_bytes())
            with closing(launcher.run(assignments, alone=alone)) as results:
                for result in results:
                    say("gave", dump_result(result))
                    connection.recv_bytes()  # it is stored: go on
            say("over")
    except HarnessError as error:
        say("raised", type(error).__name__, str(error))
    except EOFError:
        return  # the bench is over
    except Exception as error:  # of a result that cannot be sent
        say("raised", "BrokenPlugin", f"{title} failed: {reason_of(error)}; {KEPT}")
