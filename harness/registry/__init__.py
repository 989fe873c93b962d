"""Plugins found, loaded, configured and digested. Private to Harness: a plugin imports `harness.plugin`."""

from harness.registry.chosen import Chosen, LoadedPlugin
from harness.registry.installed import FILE, GROUPS, KINDS, METHOD_KINDS, PluginInfo
from harness.registry.registry import Registry

__all__ = ["FILE", "GROUPS", "KINDS", "METHOD_KINDS", "Chosen", "LoadedPlugin", "PluginInfo", "Registry"]
