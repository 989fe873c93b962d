"""Who listens to a run: trackers, and what shows its progress. Registered while it runs, closed however it ends."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from harness.errors import BrokenPlugin, did_you_mean
from harness.registry import Registry
from harness.registry.registry import EVENTS

logger = logging.getLogger(__name__)


@contextmanager
def listening(registry: Registry, listeners: Mapping[str, object]) -> Iterator[None]:
    """Let listeners, by the names that messages call them, hear the events that `registry.tell` tells."""
    with ExitStack() as stack:
        for name, listener in listeners.items():
            stack.callback(_close, name, listener)
        for name, listener in listeners.items():
            _register(registry, name, listener)
            stack.callback(registry.manager.unregister, listener)
        yield


def _register(registry: Registry, name: str, listener: object) -> None:
    check_events(registry, name, listener)
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
        if callable(close):
            close()
    except (Exception, SystemExit) as error:
        logger.warning("close() of %s failed: %s: %s", name, type(error).__name__, " ".join(str(error).split()))
