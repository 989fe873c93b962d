"""Who listens to a run: trackers, and what shows its progress. Registered while it runs, closed however it ends.

What is of another package, or an unpackaged file, hears in a process of its own (harness.registry.hearers).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

from harness.aside import POSSIBLE
from harness.errors import BrokenPlugin, did_you_mean
from harness.registry import Registry
from harness.registry.hearers import Hear, Hearer
from harness.registry.registry import EVENTS

logger = logging.getLogger(__name__)


@contextmanager
def listening(registry: Registry, listeners: Mapping[str, object]) -> Iterator[None]:
    """Let listeners, by the names that messages call them, hear the events that `registry.tell` tells."""
    with ExitStack() as stack:
        for name, listener in listeners.items():
            stack.callback(_close, name, listener)
        for name, module in registry.strange_listeners() if POSSIBLE else ():
            hearer = hearing_beside(name, lambda module=module: module)  # type: ignore[misc]
            stack.callback(_close, name, hearer)
            registry.beside[name] = hearer
            stack.callback(registry.beside.pop, name)
            wrong = hearer.started()
            if wrong:
                logger.warning("%s hears nothing of the run: %s", name, wrong)
        for name, listener in listeners.items():
            if isinstance(listener, Hearer):
                registry.beside[name] = listener
                stack.callback(registry.beside.pop, name)
            else:
                _register(registry, name, listener)
                stack.callback(registry.manager.unregister, listener)
        yield


def hearing_beside(name: str, build: Callable[[], object]) -> Hearer:
    """A listener that is built, hears and is closed in a process of its own."""

    def make() -> tuple[Hear, Callable[[], None]]:
        listener, own = build(), Registry([])
        if not isinstance(listener, ModuleType):  # which offers plugins beside the events that it hears
            check_events(own, name, listener)
        _register_events(own, name, listener)

        def hear(hook: str, news: dict[str, Any]) -> None:
            getattr(own.manager.hook, hook)(**news)

        close = None if isinstance(listener, ModuleType) else getattr(listener, "close", None)
        return hear, close if callable(close) else lambda: None

    return Hearer(make)


def _register(registry: Registry, name: str, listener: object) -> None:
    check_events(registry, name, listener)
    _register_events(registry, name, listener)


def _register_events(registry: Registry, name: str, listener: object) -> None:
    try:
        registry.manager.register(listener, name=name)
    except Exception as error:  # pluggy keeps a listener whose hook has unknown arguments
        if registry.manager.is_registered(listener):
            registry.manager.unregister(listener)
        raise BrokenPlugin(f"{name} has an invalid hook: {' '.join(str(error).split())}") from error


def check_events(registry: Registry, name: str, listener: object) -> list[str]:
    """The events that a listener hears. Raises BrokenPlugin where it hears none, or one that there is not."""
    heard = [method for method in dir(listener) if registry.manager.parse_hookimpl_opts(listener, method) is not None]
    odd = sorted(set(heard) - EVENTS)
    if odd:
        raise BrokenPlugin(f"{name} listens to '{odd[0]}', which is no event: {did_you_mean(odd[0], EVENTS)}")
    if not heard:
        raise BrokenPlugin(f"{name} hears nothing: decorate a method with @hookimpl, of {', '.join(sorted(EVENTS))}")
    return heard


def _close(name: str, listener: object) -> None:
    close = getattr(listener, "close", None)
    try:
        wrong = close() if callable(close) else ""
    except (Exception, SystemExit) as error:
        wrong = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if wrong and isinstance(wrong, str):
        logger.warning("close() of %s failed: %s", name, wrong)
