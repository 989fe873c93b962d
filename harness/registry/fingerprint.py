"""Digests of source code: what changes an answer changes them, and nothing else does.

A digest is of the syntax trees without comments, docstrings, blank lines and line numbers: an edit that cannot change
an answer does not make a finished cell stale, and every other edit does. Which files count is derived from what is
imported (`harness.registry.sources`).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.registry.installed import FILE
from harness.registry.sources import find_source, imported_modules, libraries, neighbours, read_source

if TYPE_CHECKING:
    from harness.registry.chosen import LoadedPlugin

BUILT_INS = "harness_plugins"
TRAINING = "harness.pretraining"  # what every cell trains with
CELL = "harness.cell"  # what every cell runs: training and judging
DIGEST_BYTES = 8
IDLE = {  # libraries whose version changes no number, and why
    "filelock": "locks files",
    "safetensors": "reads and writes weights as they are",
    "threadpoolctl": "sets the number of threads, which is in the key",
    "torch": "is in every key by itself",
}
SPELLED = {"PIL": "pillow", "sklearn": "scikit-learn"}  # saves reading the metadata of everything that is installed


def training_modules() -> frozenset[str]:
    """The modules of Harness that every cell trains with, whatever its plugins are."""
    return _behind(TRAINING)


def judging_modules() -> frozenset[str]:
    """Those that every cell is judged with besides. A change of them makes no training stale."""
    return _behind(CELL) - training_modules()


def _behind(module: str) -> frozenset[str]:
    file = find_source(module)
    assert file is not None
    return imported_modules([file]) | {module}


def source_digest(loaded: LoadedPlugin) -> str:
    """16 hex digits for the code behind a plugin: its own, and what it imports from Harness, directly or through that.

    A built-in's own code is its file; an unpackaged file's also the neighbours that it imports; a stranger's, every
    .py file of its top-level package.
    """
    files = own_files(loaded)
    shared = sorted(imported_modules(files))
    parts = [digest_of_files(files), *(f"{module} {digest_of_modules([module])}" for module in shared)]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=DIGEST_BYTES).hexdigest()


def own_files(loaded: LoadedPlugin) -> list[Path]:
    """The files of a plugin's own code."""
    if loaded.info.distribution == FILE:
        return [loaded.file, *neighbours(loaded.file)]
    if loaded.info.module.startswith(f"{BUILT_INS}."):
        return [loaded.file]
    package = sys.modules[loaded.info.module.partition(".")[0]]
    folders = [Path(folder) for folder in getattr(package, "__path__", [])]
    return [file for folder in folders for file in sorted(folder.rglob("*.py"))] or [loaded.file]


def library_versions(files: Iterable[Path]) -> Mapping[str, str]:
    """The packages that some files import, and the modules of Harness behind them, with their versions.

    Without what is not installed, and without IDLE ones.
    """
    named = list(files)
    behind = [file for module in imported_modules(named) if (file := find_source(module)) is not None]
    found = {name: _version(name) for name in sorted(libraries([*named, *behind]) - set(IDLE))}
    return {name: version for name, version in found.items() if version}


@cache
def _version(package: str) -> str:
    """Of the distribution that a top-level package comes with; "" for code that is not installed."""
    try:
        return importlib.metadata.version(SPELLED.get(package, package))
    except (importlib.metadata.PackageNotFoundError, ValueError):
        distributions = _distributions().get(package, [])
        return ", ".join(importlib.metadata.version(name) for name in distributions)


@cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def digest_of_modules(modules: Iterable[str]) -> str:
    """`digest_of_files` for modules by their import names, without importing them."""
    files = {module: find_source(module) for module in modules}
    missing = sorted(module for module, file in files.items() if file is None)
    if missing:
        raise FileNotFoundError(f"no source for {', '.join(missing)}")
    return digest_of_files([file for file in files.values() if file is not None])


def digest_of_files(paths: Iterable[Path]) -> str:
    """16 hex digits: BLAKE2b of the files' names, relative to their common folder, and meanings; in no order."""
    files = sorted({Path(path).resolve() for path in paths})
    if not files:
        raise ValueError("a digest needs at least one file")
    root = os.path.commonpath([file.parent for file in files])
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for file in files:
        digest.update(file.relative_to(root).as_posix().encode() + b"\0")
        digest.update(read_source(file).meaning)
    return digest.hexdigest()
