"""A request planned beside this process first, where it names plugins of others: what of them exits, crashes or hangs
is told by name, and ends nothing. Their code runs in this process only once that went well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path

from harness.aside import rehearse
from harness.errors import HarnessError
from harness.options import Options, launcher_of, trackers_of
from harness.plan import make_plan
from harness.records import Request
from harness.registry import METHOD_KINDS, Registry
from harness.registry.grammar import is_path, parse_plugins
from harness.registry.installed import is_own
from harness.store import RunFolder
from harness.trials import fixed_settings, reported, trials_of

LOADING = 120.0  # seconds that a plugin may take to be imported
PLANNING = 1800.0  # seconds that planning may take: a large dataset is read once for its fingerprint

KINDS_OF_WORDS: dict[str, Sequence[str]] = {
    "plugins": METHOD_KINDS,
    "tune": METHOD_KINDS,
    "references": METHOD_KINDS,
    "datasets": ("dataset",),
    "targets": ("dataset",),
    "backbone": ("backbone",),
    "evaluations": ("evaluation",),
}
Named = tuple[str, str, Sequence[str]]  # what messages call a plugin, its name in the request, the kinds it may be of


def rehearse_request(request: Request, options: Options, registry: Registry) -> None:
    """Raises BrokenPlugin for a plugin of others that ends or holds up the process that loads it or plans with it.

    Whatever else is wrong is told when the same is done in this process.
    """
    strangers = list(dict.fromkeys(_strangers(request, options, registry)))
    if strangers:
        import_module("torch")  # nearly every plugin does: so it is imported once, here
    for title, name, kinds in strangers:
        rehearse(title, partial(registry.load, name, kinds), seconds=LOADING)
        with suppress(HarnessError):
            registry.load(name, kinds)  # once for all that follows, here and beside
    if strangers:
        titles = " or ".join(dict.fromkeys(title for title, _, _ in strangers))
        rehearse(f"planning with {titles}", partial(_plan, request, options, registry), seconds=PLANNING)


def _plan(request: Request, options: Options, registry: Registry) -> None:
    """All that planning asks of plugins."""
    launcher_of(options, registry), trackers_of(options, registry)
    trials, _ = trials_of(request, registry), fixed_settings(request, registry)
    folder = RunFolder(options.out or Path("runs") / "rehearsal")
    for one in filter(None, (trials, reported(request))):
        make_plan(one, registry, folder, data_dir=options.data_dir, fresh=options.fresh)


def _strangers(request: Request, options: Options, registry: Registry) -> Iterator[Named]:
    for word, kinds in KINDS_OF_WORDS.items():
        yield from _named(getattr(request, word), kinds, registry)
    if set(request.evaluations) & {"all", "default"}:
        installed = [info for info in registry.infos("evaluation") if not is_own(info)]
        yield from _named([f"{info.distribution}:{info.name}" for info in installed], ("evaluation",), registry)
    for part in request.parts:
        yield from _strangers(part, options, registry)
    yield from _named([options.launcher], ("launcher",), registry)
    yield from _named(options.trackers, ("tracker",), registry)


def _named(texts: Sequence[str], kinds: Sequence[str], registry: Registry) -> Iterator[Named]:
    """Plugins of others among texts of a request; one that cannot be read is told later."""
    for text in texts:
        with suppress(HarnessError):
            for ref in parse_plugins(text):
                if is_path(ref.name):
                    yield f"plugin file {ref.name}", ref.name, tuple(kinds)
                elif not is_own(info := registry.find(ref.name, kinds)):
                    yield f"plugin '{ref.name}' of {info.origin}", ref.name, tuple(kinds)
