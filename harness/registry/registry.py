"""Entry points -> validated plugins. Listing imports nothing, loading imports one module, a broken one harms no other.

The loop over entry points is our own: pluggy's stops at the first plugin that cannot be imported, skips the second
plugin of a name without a word, accepts a misspelt hook, and keeps a plugin registered that it has rejected.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, is_dataclass
from functools import cached_property
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from harness.errors import BrokenPlugin, DuplicatePlugin, RequestError, UnknownName, did_you_mean
from harness.plugin import hookspecs
from harness.records import PluginRef
from harness.registry.chosen import Chosen, LoadedPlugin
from harness.registry.installed import (
    FILE,
    GROUPS,
    KINDS,
    METHOD_KINDS,
    PluginInfo,
    is_own,
    listing_order,
    namespace,
    normalised_distribution,
    plugin_infos,
)
from harness.surroundings import undone
from harness.typed import type_fault

if TYPE_CHECKING:
    from harness.registry.hearers import Hearer

__all__ = ["Registry"]

SPEC_OF_HOOK = {
    "harness_method": "MethodSpec",
    "harness_backbone": "BackboneSpec",
    "harness_dataset": "DatasetSpec",
    "harness_evaluation": "EvaluationSpec",
    "harness_launcher": "LauncherSpec",
    "harness_tracker": "TrackerSpec",
}
HOOKS = frozenset(name for name in vars(hookspecs) if name.startswith("harness_"))
EVENTS = HOOKS - set(SPEC_OF_HOOK)

LONGEST_NAME = 80
NAME = re.compile(
    rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{LONGEST_NAME - 1}}}"
)  # of a plugin: part of files, tables and requests

logger = logging.getLogger(__name__)


class Registry:
    """All installed plugins, and the files that were loaded beside them.

    Without `entry_points`, those of every installed distribution are used. Code of others is imported in the context
    that `undoing` gives for its title: as a rule it leaves the process as it was.
    """

    def __init__(
        self,
        entry_points: Iterable[EntryPoint] | None = None,
        undoing: Callable[[str], AbstractContextManager[None]] = undone,
    ) -> None:
        self._undoing = undoing
        self._infos = plugin_infos(entry_points)
        self._loaded: dict[PluginInfo, LoadedPlugin] = {}
        self._chosen: dict[tuple[str, str, tuple[str, ...]], Chosen] = {}
        self._reported: set[str] = set()  # plugins whose event hooks failed
        self.beside: dict[str, Hearer] = {}  # who hears events in a process of its own, by the name in messages

    @cached_property
    def manager(self) -> pluggy.PluginManager:
        """Pluggy's manager of the loaded plugins; nothing is registered in it before it was validated."""
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        return manager

    def infos(self, kind: str | None = None) -> list[PluginInfo]:
        """All plugins (of one kind), sorted by kind and name. Imports nothing."""
        return [info for info in self._infos if kind in (None, info.kind)]

    def duplicates(self) -> list[tuple[PluginInfo, ...]]:
        """The plugins that share a name where a request could not tell them apart."""
        groups: dict[tuple[str, str], list[PluginInfo]] = defaultdict(list)
        for info in self._infos:
            groups[namespace(info.kind), info.name].append(info)
        return [tuple(group) for group in groups.values() if len(group) > 1]

    def load(self, name: str, kinds: Sequence[str]) -> LoadedPlugin:
        """Import one plugin, by name, by `distribution:name`, or by the path of a .py file.

        Raises UnknownName, DuplicatePlugin or BrokenPlugin, each with what to do about it.
        """
        from harness.registry.grammar import is_path

        if is_path(name):
            return self._load_path(name, kinds)
        info = self.find(name, kinds)
        if info not in self._loaded:
            self._loaded[info] = self._load(info)
        return self._loaded[info]

    def chosen(self, ref: PluginRef, kinds: Sequence[str]) -> Chosen:
        """The plugin of a reference with its config: the same object for the same reference, found once.

        Raises what `load` raises, and RequestError for parameters that it does not have.
        """
        from harness.registry.config import resolve

        key = (ref.name, repr(sorted(ref.params.items())), tuple(kinds))
        if key not in self._chosen:
            loaded = self.load(ref.name, kinds)
            self._chosen[key] = Chosen(ref, loaded, resolve(loaded.spec.config, ref.params, ref.name))
        return self._chosen[key]

    def load_file(self, path: str | Path) -> list[LoadedPlugin]:
        """Import an unpackaged .py file and return all plugins that it offers; the same file again gives the same ones.

        From then on they are found by name too. A name that an installed plugin has already is an error.
        """
        file = Path(path).expanduser().resolve()
        known = [
            loaded for loaded in self._loaded.values() if loaded.module is sys.modules.get(_module_name(file, path))
        ]
        if known:
            return known
        with self._undoing(f"plugin file {path}"):
            return self._load_file(file, path)

    def _load_file(self, file: Path, path: str | Path) -> list[LoadedPlugin]:
        module = _import_file(file, str(path))
        hooks = _offers(module, f"plugin file {path}")
        if not hooks:
            raise BrokenPlugin(f"plugin file {path} offers nothing: give it a hook of {', '.join(SPEC_OF_HOOK)}")
        plugins = [self._file_plugin(module, hook, function, file, str(path)) for hook, function in hooks.items()]
        twins = [self._installed_from(file, plugin.info) for plugin in plugins]
        installed = [info for info in twins if info is not None]
        if len(installed) == len(plugins):
            return [self.load(f"{info.distribution}:{info.name}", (info.kind,)) for info in installed]
        self._register(module, f"plugin file {path}")
        for plugin in plugins:
            self._loaded[plugin.info] = plugin
        self._infos = sorted({*self._infos, *(plugin.info for plugin in plugins)}, key=listing_order)
        return plugins

    def apart(self, what: str) -> AbstractContextManager[None]:
        """Where code of others is loaded, what is done in this context leaves the process as it was, too."""
        strangers = list(dict.fromkeys(info.name for info in self._loaded if not is_own(info)))
        return self._undoing(f"{what} with {' or '.join(strangers)}") if strangers else nullcontext()

    def tell(self, hook_name: str, **news: Any) -> None:
        """Call an event hook of all plugins and listeners. One that raises or exits is reported once, no more."""
        hook = getattr(self.manager.hook, hook_name)
        listeners = [implementation.plugin for implementation in hook.get_hookimpls()]
        for plugin in listeners:
            if self._name_of(plugin) in self.beside:
                continue
            others = [other for other in listeners if other is not plugin]
            try:
                self.manager.subset_hook_caller(hook_name, others)(**news)
            except (Exception, SystemExit) as error:
                self._report(hook_name, self._name_of(plugin), _one_line(error))
        for name, hearer in self.beside.items():
            self._report(hook_name, name, hearer.hear(hook_name, news))

    def _report(self, hook_name: str, name: str, wrong: str) -> None:
        if wrong and name not in self._reported:
            self._reported.add(name)
            logger.warning("%s of %s failed, the run goes on: %s", hook_name, name, wrong)

    def strange_listeners(self) -> list[tuple[str, ModuleType]]:
        """Modules of others that hear an event, each with the name that messages call it."""
        heard = {implementation.plugin for event in EVENTS for implementation in self._heard(event)}
        modules = {loaded.module for loaded in self._loaded.values() if not is_own(loaded.info)} & heard
        return sorted(((self._name_of(module), module) for module in modules), key=lambda named: named[0])

    def _heard(self, event: str) -> list[Any]:
        return getattr(self.manager.hook, event).get_hookimpls()  # type: ignore[no-any-return]

    def _name_of(self, module: object) -> str:
        names = [f"plugin '{loaded.info.name}'" for loaded in self._loaded.values() if loaded.module is module]
        return names[0] if names else str(self.manager.get_name(module))

    def find(self, name: str, kinds: Sequence[str]) -> PluginInfo:
        """The plugin of a name or `distribution:name`, without importing it. Raises UnknownName or DuplicatePlugin."""
        distribution, _, bare = name.rpartition(":")
        named = [info for info in self._infos if info.name == bare and _matches(info, distribution)]
        fitting = [info for info in named if info.kind in kinds]
        if len(fitting) > 1:
            origins = " and ".join(f"{info.origin} ({info.kind})" for info in fitting)
            choices = " or ".join(sorted({f"'{info.distribution}:{bare}'" for info in fitting}))
            raise DuplicatePlugin(f"'{name}' is offered by {origins}: write {choices}")
        if fitting:
            return fitting[0]
        raise UnknownName(f"no {_kind_words(kinds)} '{name}': {self._advice(bare, distribution, named, kinds)}")

    def _advice(self, bare: str, distribution: str, named: list[PluginInfo], kinds: Sequence[str]) -> str:
        if named:
            return f"'{bare}' of {named[0].origin} is a plugin of another kind: {named[0].kind}"
        fitting = [info for info in self._infos if info.kind in kinds]
        if any(info.name == distribution for info in fitting):
            return f"'{distribution}' is a plugin: write {distribution}[{self._first_key(distribution, kinds)}={bare}]"
        of_name = [info.distribution for info in fitting if info.name == bare]
        if of_name:
            return f"it is not in distribution '{distribution}', but in {', '.join(of_name)}"
        advice = did_you_mean(bare, [info.name for info in fitting])
        return f"{advice}{'' if advice.endswith('?') else ';'} `harness plugins` lists all {len(self._infos)}"

    def _first_key(self, name: str, kinds: Sequence[str]) -> str:
        """The first parameter of a plugin, which it cannot do without if there is one such."""
        return next((field.name for field in fields(self.load(name, kinds).spec.config)), "KEY")

    def _load(self, info: PluginInfo) -> LoadedPlugin:
        title = f"plugin '{info.name}' of {info.origin}"
        with nullcontext() if is_own(info) else self._undoing(title):
            return self._load_module(info, title)

    def _load_module(self, info: PluginInfo, title: str) -> LoadedPlugin:
        try:
            module = importlib.import_module(info.module)
        except (Exception, SystemExit) as error:
            raise BrokenPlugin(f"{title} cannot be loaded: {_one_line(error)}") from error
        hook = _hook_of(info.kind)
        offers = _offers(module, title)
        if hook not in offers:
            has = f"it has {', '.join(offers)}" if offers else "it has no hook that is decorated with @hookimpl"
            raise BrokenPlugin(f"{title} is listed as a {info.kind}, so its module needs the hook {hook}; {has}")
        spec = _valid_spec(offers[hook], hook, title)
        _check_identity(spec, info, title)
        self._register(module, title)
        return LoadedPlugin(info=info, spec=spec, module=module, file=Path(str(module.__file__)))

    def _register(self, module: ModuleType, title: str) -> None:
        if self.manager.is_registered(module):
            return
        try:
            self.manager.register(module)
        except Exception as error:  # pluggy keeps a plugin whose hook has unknown arguments
            if self.manager.is_registered(module):
                self.manager.unregister(module)
            raise BrokenPlugin(f"{title} has an invalid hook: {_one_line(error)}") from error

    def _load_path(self, name: str, kinds: Sequence[str]) -> LoadedPlugin:
        plugins = self.load_file(name)
        fitting = [plugin for plugin in plugins if plugin.info.kind in kinds]
        if len(fitting) != 1:
            has = ", ".join(f"{plugin.info.kind} '{plugin.info.name}'" for plugin in plugins)
            raise UnknownName(f"plugin file {name} has no {_kind_words(kinds)}: it has {has}")
        return fitting[0]

    def _file_plugin(self, module: ModuleType, hook: str, function: Any, file: Path, path: str) -> LoadedPlugin:
        spec = _valid_spec(function, hook, f"plugin file {path}")
        kind = spec.kind if hook == "harness_method" else hook.removeprefix("harness_")
        if kind not in KINDS:
            raise BrokenPlugin(f"plugin file {path} is of kind '{kind}': {did_you_mean(str(kind), METHOD_KINDS)}")
        info = PluginInfo(name=spec.name, kind=kind, module=module.__name__, distribution=FILE, version="")
        return LoadedPlugin(info=info, spec=spec, module=module, file=file)

    def _installed_from(self, file: Path, info: PluginInfo) -> PluginInfo | None:
        """The installed plugin that is this very file. Raises DuplicatePlugin if another has the name of the file's."""
        space = namespace(info.kind)
        same = [other for other in self._infos if (namespace(other.kind), other.name) == (space, info.name)]
        for other in same:
            if other.source is not None and other.source.resolve() == file:
                return other
        if same:
            origin = f"file {same[0].source}" if same[0].distribution == FILE else same[0].origin
            raise DuplicatePlugin(f"file {file} and {origin} both offer {space} '{info.name}': rename the file's")
        return None


def _kind_words(kinds: Sequence[str]) -> str:
    return "plugin" if set(kinds) == set(KINDS) else " or ".join(sorted({namespace(kind) for kind in kinds}))


def _hook_of(kind: str) -> str:
    return f"harness_{namespace(kind)}"


def _matches(info: PluginInfo, distribution: str) -> bool:
    """Distribution names are equal up to case and runs of `-`, `_` and `.` (PEP 503)."""
    return not distribution or normalised_distribution(info.distribution) == normalised_distribution(distribution)


def _one_line(error: BaseException) -> str:
    from harness.cleaned import one_line

    text = one_line(str(error))
    return f"{type(error).__name__}: {text}" if text else one_line(type(error).__name__)


def _offers(module: ModuleType, title: str) -> dict[str, Any]:
    """The hooks by which a module offers something. Raises BrokenPlugin for a misspelt or an undecorated hook."""
    offers: dict[str, Any] = {}
    for name, function in vars(module).items():
        if not callable(function) or isinstance(function, type):
            continue
        options = getattr(function, f"{hookspecs.PROJECT}_impl", None)
        if options is None and name not in HOOKS:
            continue
        if options is None:
            raise BrokenPlugin(f"{title} defines {name} without its decorator: add @hookimpl of harness.plugin")
        hook = options.get("specname") or name
        if hook not in HOOKS:
            raise BrokenPlugin(f"{title} implements '{hook}', which is no hook: {did_you_mean(hook, HOOKS)}")
        if hook in SPEC_OF_HOOK:
            offers[hook] = function
    return offers


def _valid_spec(function: Any, hook: str, title: str) -> Any:
    from harness.plugin import specs  # here, since a list needs no specs
    from harness.registry.config import config_fault

    try:
        spec: Any = function()
    except (Exception, SystemExit) as error:
        raise BrokenPlugin(f"{title} cannot be loaded: its hook {hook} raised {_one_line(error)}") from error
    expected = SPEC_OF_HOOK[hook]
    if not isinstance(spec, getattr(specs, expected)):
        raise BrokenPlugin(f"{title} returns a {type(spec).__name__} from {hook}, expected a {expected}")
    if not isinstance(spec.name, str) or not NAME.fullmatch(spec.name):
        shown = repr(spec.name)[:60] if isinstance(spec.name, str) else f"a {type(spec.name).__name__}"
        raise BrokenPlugin(
            f"{title} has the name {shown}: a name has letters, digits, '-', '_' and '.', starts with a letter or a "
            f"digit, and is at most {LONGEST_NAME} long"
        )
    if not (isinstance(spec.config, type) and is_dataclass(spec.config)):
        raise BrokenPlugin(f"{title} has a config that is no dataclass: decorate it with @dataclass(frozen=True)")
    fault = config_fault(spec.config)
    if fault:
        raise BrokenPlugin(f"{title} cannot be used: of its config, {fault}")
    fault = type_fault(spec, besides=("name", "config", *(["kind"] if expected == "MethodSpec" else [])))
    if fault:
        raise BrokenPlugin(f"{title} cannot be used: in its {expected}, {fault}")
    return spec


def _check_identity(spec: Any, info: PluginInfo, title: str) -> None:
    """A spec must say what its entry point says, since lists are made from entry points alone."""
    if spec.name != info.name:
        raise BrokenPlugin(f"{title} calls itself '{spec.name}' in its spec: use the name of its entry point")
    if info.kind in METHOD_KINDS and spec.kind != info.kind:
        group = next((group for group, kind in GROUPS.items() if kind == spec.kind), None)
        advice = f"move its entry point to {group}" if group else did_you_mean(str(spec.kind), METHOD_KINDS)
        raise BrokenPlugin(f"{title} is listed as a {info.kind}, but its spec has kind '{spec.kind}': {advice}")


def _module_name(file: Path, path: str | Path) -> str:
    """What the module of a .py file is called: unique to its path and content, so that an edited file is run anew."""
    if not file.is_file():
        raise RequestError(f"there is no plugin file {path}: give the path of a .py file")
    digest = hashlib.blake2b(os.fsencode(file) + b"\0" + file.read_bytes(), digest_size=6).hexdigest()
    return f"harness_file_{re.sub(r'[^0-9A-Za-z_]', '_', file.stem)}_{digest}"


def _import_file(file: Path, path: str) -> ModuleType:
    """Run a .py file as a module."""
    name = _module_name(file, path)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise RequestError(f"plugin file {path} is no Python source: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise BrokenPlugin(f"plugin file {path} cannot be loaded: {_one_line(error)}") from error
    return module
