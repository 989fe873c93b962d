"""Where the source of a plugin is, and a digest of what that source means.

The digest is of the syntax tree without comments, docstrings, blank lines and line numbers: an edit that cannot
change an answer does not make a finished cell stale, and every other edit does.
"""

from __future__ import annotations

import ast
import hashlib
import os
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.registry.registry import LoadedPlugin

BUILT_INS = "harness_plugins"
DIGEST_BYTES = 8


def source_digest(loaded: LoadedPlugin) -> str:
    """16 hex digits for the code behind a plugin: its own, and what it imports from Harness, directly or through that.

    A built-in's or an unpackaged file's own code is that one file. A stranger's plugin may import its neighbours, so
    it is every .py file of its top-level package.
    """
    files = [loaded.file]
    if loaded.info.distribution != "file" and not loaded.info.module.startswith(f"{BUILT_INS}."):
        package = sys.modules[loaded.info.module.partition(".")[0]]
        folders = [Path(folder) for folder in getattr(package, "__path__", [])]
        files = [file for folder in folders for file in folder.rglob("*.py")] or files
    shared = sorted(set().union(*(imported_modules(file) for file in files)))
    parts = [digest_of_files(files), *(f"{module} {digest_of_modules([module])}" for module in shared)]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=DIGEST_BYTES).hexdigest()


# Modules that describe, name or travel, and compute nothing: an edit there makes no result stale.
INERT = frozenset(f"harness.{name}" for name in ("errors", "plugin.hookspecs", "plugin.specs", "records"))


def imported_modules(file: Path) -> frozenset[str]:
    """The modules of `harness` that a source file imports, and those that these import in turn; without INERT ones."""
    found: set[str] = set()
    waiting = [file]
    while waiting:
        for module in _imports(waiting.pop()) - found - INERT:
            source = find_source(module)
            if source is not None:
                found.add(module)
                waiting.append(source)
    return frozenset(found)


@lru_cache(maxsize=1024)
def _imports(file: Path) -> frozenset[str]:
    """The dotted names below `harness.` in the import statements of a file, wherever they stand in it."""
    names: set[str] = set()
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # a stranger's package may hold templates, or code for other Pythons
        return frozenset()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(name for name in names if name.startswith("harness."))


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
        stat = file.stat()
        digest.update(file.relative_to(root).as_posix().encode() + b"\0")
        digest.update(_meaning(file, stat.st_mtime_ns, stat.st_size))
    return digest.hexdigest()


@lru_cache(maxsize=1024)
def _meaning(file: Path, modified: int, size: int) -> bytes:
    """A digest of one file; a file that is no valid Python counts byte by byte."""
    content = file.read_bytes()
    if file.suffix == ".py":
        try:
            content = normalised(content).encode()
        except (SyntaxError, ValueError):
            return hashlib.blake2b(b"bytes\0" + content).digest()
    return hashlib.blake2b(content).digest()


def normalised(source: str | bytes) -> str:
    """The syntax tree of Python source as text, without docstrings and positions.

    >>> normalised("x = 1  # one") == normalised("'''Docs.'''\\nx = 1")
    True
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = [part for part in node.body[:1] if _is_text(part)]
            node.body = node.body[len(docstring) :]  # type: ignore[assignment]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def find_source(module: str) -> Path | None:
    """The source file of a module, found without running it or any of its parent packages; None if there is none.

    importlib.util.find_spec would import the parents. This asks the finders step by step, which includes those of
    editable installs.
    """
    spec, path, name = None, None, ""
    parts = module.split(".")
    if not all(parts):
        return None
    for part in parts:
        name = f"{name}.{part}" if name else part
        spec = _find_spec(name, path)
        if spec is None:
            return None
        path = tuple(spec.submodule_search_locations or ())
    file = Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None
    return file if file is not None and file.suffix == ".py" else None


def _find_spec(name: str, path: tuple[str, ...] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path) if hasattr(finder, "find_spec") else None
        if spec is not None:
            return spec
    return None
