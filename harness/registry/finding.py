"""All plugins of one name: a method, a backbone, a dataset, an evaluation ... may share one, or a file."""

from __future__ import annotations

from collections.abc import Sequence

from harness.registry.chosen import LoadedPlugin
from harness.registry.grammar import is_path
from harness.registry.installed import KINDS, METHOD_KINDS, is_own
from harness.registry.registry import Registry


def plugins_named(registry: Registry, name: str) -> list[LoadedPlugin]:
    """Raises what `Registry.load` raises."""
    if is_path(name):
        return registry.load_file(name)
    return [registry.load(name, kinds) for kinds in families_of(registry, name)]


def families_of(registry: Registry, name: str) -> list[Sequence[str]]:
    """The families of kinds that have a plugin of this name; all kinds, for the message, if none has."""
    bare = name.rpartition(":")[2]
    taken = {info.kind for info in registry.infos() if info.name == bare}
    families: list[Sequence[str]] = [METHOD_KINDS, *((kind,) for kind in KINDS if kind not in METHOD_KINDS)]
    return [kinds for kinds in families if taken & set(kinds)] or [KINDS]


def is_strange(registry: Registry, name: str) -> bool:
    """Is it a file, or has a plugin of this name come from elsewhere than Harness?"""
    bare = name.rpartition(":")[2]
    return is_path(name) or any(info.name == bare and not is_own(info) for info in registry.infos())
