"""A plugin that is loaded, and a plugin that a request chose: found and configured once, read by everything after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.errors import BrokenPlugin, HarnessError, RequestError
from harness.reasons import reason_of
from harness.records import Information, PluginRef
from harness.registry.fingerprint import library_versions, own_files, source_digest
from harness.registry.installed import PluginInfo
from harness.typed import fault_of

SAYS: Mapping[str, Any] = {  # functions of specs that a plan asks, and the types of their answers
    "uses_with": list[Information],
    "files": list[str | Path],
    "others": list[str],
    "own_backbone": str | None,
    "applies": str | None,
}


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin whose module is imported and whose spec is valid."""

    info: PluginInfo
    spec: Any  # the Spec that its hook returned: a MethodSpec for the three kinds of methods, and so on
    module: ModuleType
    file: Path

    @cached_property
    def digest(self) -> str:
        """16 hex digits for the code behind it, as it was when it was first asked for."""
        return source_digest(self)

    @cached_property
    def libraries(self) -> Mapping[str, str]:
        """The packages of others that this code imports, with their versions."""
        return library_versions(own_files(self))


@dataclass(frozen=True)
class Chosen:
    """A plugin with the parameters that a request gave it."""

    ref: PluginRef  # as written in the request
    loaded: LoadedPlugin
    config: Any  # an instance of the spec's config class

    @property
    def info(self) -> PluginInfo:
        return self.loaded.info

    @property
    def spec(self) -> Any:
        return self.loaded.spec

    @property
    def digest(self) -> str:
        """16 hex digits for the code behind it."""
        return self.loaded.digest

    @cached_property
    def full(self) -> str:
        """The plugin with all its parameters, defaults too."""
        from harness.registry.config import full_ref

        return str(full_ref(self.ref.name, self.config))

    @cached_property
    def uses(self) -> tuple[Information, ...]:
        """What a method sees in training beside its inputs."""
        return tuple(self.declared("uses_with", self.config))

    def declared(self, function: str, *arguments: Any) -> Any:
        """What a function of the spec says. Raises BrokenPlugin, in one line, where it fails or says no such thing."""
        try:
            said = getattr(self.spec, function)(*arguments)
        except HarnessError:
            raise
        except (Exception, SystemExit) as error:
            raise BrokenPlugin(f"{function}() of '{self.ref}' failed: {reason_of(error)}") from error
        fault = fault_of(said, SAYS[function], f"{function}() of '{self.ref}'")
        if fault:
            raise BrokenPlugin(fault)
        return said

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """What it reads beside its data, as its spec declares. Raises RequestError for a file that is not there."""
        if self.spec.files is None:
            return ()
        paths = tuple(Path(path).expanduser() for path in self.declared("files", self.config))
        for path in paths:
            if not path.is_file():
                raise RequestError(f"{self.ref} reads {path}, which is not there: put the file there or name another")
        return paths
