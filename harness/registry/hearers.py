"""A stranger's listener in a process of its own: what it does when it is told of an event can end no run.

It is built there, hears all events there, in their order, and is closed there.
"""

from __future__ import annotations

import contextlib
import json
import pickle
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from harness.aside import Beside, Gone
from harness.errors import HarnessError

SECONDS = 30.0  # that a listener may take for one event; then it is told no more
STARTING = 120.0  # seconds that it may take to start: it may have a server to find
Hear = Callable[[str, dict[str, Any]], None]  # (event hook, news)


class Hearer:
    """A listener beside this process. `make` builds it there, and gives what tells it, and what closes it."""

    def __init__(self, make: Callable[[], tuple[Hear, Callable[[], None]]]) -> None:
        self._beside: Beside | None = Beside(lambda connection: _serve(connection, make), quiet=False)

    def started(self) -> str:
        """Wait until it is built; what is wrong with it, or ""."""
        return self._answer(STARTING)

    def hear(self, hook: str, news: dict[str, Any]) -> str:
        """Tell it of an event and wait until it has heard; what went wrong, or ""."""
        return self._asked(hook, news)

    def close(self) -> str:
        """Close the listener and end its process; what went wrong, or ""."""
        wrong = self._asked("", {})
        self._end()
        return wrong

    def _asked(self, hook: str, news: dict[str, Any]) -> str:
        if self._beside is None:  # it went wrong before
            return ""
        with contextlib.suppress(OSError):  # it is gone: no answer says how
            self._beside.connection.send_bytes(pickle.dumps((hook, news)))
        return self._answer(SECONDS)

    def _answer(self, seconds: float) -> str:
        if self._beside is None:
            return ""
        try:
            return str(json.loads(self._beside.heard(seconds)))
        except Gone as how:
            self._end()
            return f"it {how}; it is told no more"

    def _end(self) -> None:
        if self._beside is not None:
            self._beside.end()
        self._beside = None


def _serve(connection: Connection, make: Callable[[], tuple[Hear, Callable[[], None]]]) -> None:
    """Build the listener and tell it what comes, until the end that is told, or that of the bench."""
    parts: list[Any] = []
    wrong = _tried(lambda: parts.extend(make()))
    _say(connection, wrong)
    while not wrong:
        try:
            hook, news = pickle.loads(connection.recv_bytes())
        except EOFError:
            return
        hear, close = parts
        _say(connection, _tried(lambda: hear(hook, news) if hook else close()))  # noqa: B023 (called at once)
        if not hook:
            return


def _say(connection: Connection, wrong: str) -> None:
    connection.send_bytes(json.dumps(wrong).encode())


def _tried(what: Callable[[], object]) -> str:
    """What it raised, in one line; "" where it raised nothing."""
    try:
        what()
    except HarnessError as error:
        return str(error)
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ""
