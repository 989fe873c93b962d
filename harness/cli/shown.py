"""What `plugins show` said of an installed plugin, remembered until something that it depends on changes.

A spec is known once its module is imported, and torch with it: more than a second of which nothing is shown. So the
lines are kept in the cache folder, with the content of every file outside installed libraries that the import ran, and
the state of the folders that libraries are installed in. The first `show` after an edit, an installation or an upgrade
imports again. What a spec takes from elsewhere (an environment variable, a file, the network) is not noticed: only this
command reads what is kept here, never a plan.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import astuple
from pathlib import Path

from harness import __version__
from harness.data.cache import cache_root, read_kept, write_kept
from harness.registry import PluginInfo

INSTALLED = frozenset({"site-packages", "dist-packages"})

logger = logging.getLogger(__name__)


def remembered(info: PluginInfo, describe: Callable[[], Iterable[str]]) -> list[str]:
    """The lines that describe a plugin, from the last time if they are the same still; else by `describe`, anew."""
    file = cache_root() / "shown" / f"{_digest(json.dumps(_asked(info)).encode())}.json"
    kept = _read(file)
    if kept is not None and kept["libraries"] == _libraries() and all(map(_unchanged, kept["sources"].items())):
        return list(kept["lines"])
    lines = list(describe())
    content = {"libraries": _libraries(), "sources": _sources(info), "lines": lines}
    try:
        write_kept(file, content)
    except OSError as error:
        logger.debug("%s cannot be kept: %s", file, error)
    return lines


def _asked(info: PluginInfo) -> list[str]:
    return [*astuple(info), __version__, platform.python_version()]


def _read(file: Path) -> dict[str, dict[str, str]] | None:
    """What is kept in a file; None where that is nothing, or damaged."""
    content = read_kept(file)
    return content if content is not None and set(content) == {"libraries", "sources", "lines"} else None


def _libraries() -> dict[str, str]:
    """The folders of installed libraries with the time when something was last installed or removed there."""
    folders = [Path(entry) for entry in sys.path if Path(entry).name in INSTALLED]
    return {str(folder): str(folder.stat().st_mtime_ns) for folder in folders if folder.is_dir()}


def _sources(info: PluginInfo) -> dict[str, str]:
    """The files of all modules that are loaded now, with digests: the plugin's package, Harness, and what is neither
    an installed library nor Python's own.
    """
    stdlib = Path(sysconfig.get_path("stdlib"))
    ours = {"harness", info.module.partition(".")[0]}
    found = {}
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or "")
        library = bool(INSTALLED & set(file.parts)) or file.is_relative_to(stdlib)
        if file.is_file() and (name.partition(".")[0] in ours or not library):
            found[str(file)] = _digest(file.read_bytes())
    return found


def _unchanged(source: tuple[str, str]) -> bool:
    file, digest = source
    return Path(file).is_file() and _digest(Path(file).read_bytes()) == digest


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
