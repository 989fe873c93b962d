"""Where the source of a module is, what it imports, and which modules stand behind an import. Nothing is imported.

A package whose `__init__` re-exports names is a face: `from harness.plugin import Batch` depends on the module where
Batch is at home, harness.data.batches, and not on all that the face offers. So a face is followed name by name.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path

# What a cell imports that cannot change its numbers, and why. All else that is imported counts.
LEFT_OUT = {
    "harness": "the user's face, which starts runs",
    "harness.errors": "words of messages",
    "harness.records": "plain data: what a cell computes from is in its key, value by value",
    "harness.plugin.hookspecs": "declarations without code",
    "harness.plugin.specs": "declarations: what a plugin declares is in its own source",
    "harness.registry": "finds plugins and types their parameters: their sources and all parameters are in the key",
}
ENTIRELY = frozenset({"harness.registry"})  # with all modules below it
STATEMENTS = (ast.stmt, ast.excepthandler, ast.match_case)


@dataclass(frozen=True)
class Import:
    """`from module import name`; of `import module` the name is "" ("*" for all names)."""

    module: str  # relative ones keep their dots: ".neighbour"
    name: str = ""
    called: str = ""  # what it is called where it was imported
    for_types: bool = False  # under `if TYPE_CHECKING`: never run


@dataclass(frozen=True)
class Source:
    """What a digest needs to know of one file."""

    meaning: bytes  # a digest of what it says
    imports: tuple[Import, ...] = ()  # wherever they stand in it
    exports: tuple[Import, ...] = ()  # those that stand at its top level, where a face has them


def read_source(file: Path) -> Source:
    """The file as it is now; it is parsed once for each size and time of change."""
    stat = file.stat()
    return _read(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4096)
def _read(file: Path, modified: int, size: int) -> Source:
    """A file that is no valid Python counts byte by byte and imports nothing."""
    content = file.read_bytes()
    if file.suffix != ".py":
        return Source(hashlib.blake2b(content).digest())
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # a stranger's package may hold templates, or code for other Pythons
        return Source(hashlib.blake2b(b"bytes\0" + content).digest())
    imports = tuple(_imports(tree, for_types=False))
    exports = tuple(_exports(tree))
    return Source(hashlib.blake2b(_without_docstrings(tree).encode()).digest(), imports, exports)


def normalised(source: str | bytes) -> str:
    """The syntax tree of Python source as text, without docstrings and positions.

    >>> normalised("x = 1  # one") == normalised("'''Docs.'''\\nx = 1")
    True
    """
    return _without_docstrings(ast.parse(source))


def _without_docstrings(tree: ast.Module) -> str:
    for node in _statements(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = [part for part in node.body[:1] if _is_text(part)]
            node.body = node.body[len(docstring) :]
    return ast.dump(tree)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all statements below it: expressions hold neither docstrings nor imports."""
    yield node
    for part in ast.iter_child_nodes(node):
        if isinstance(part, STATEMENTS):
            yield from _statements(part)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imports(node: ast.AST, *, for_types: bool) -> Iterator[Import]:
    """All import statements below a node."""
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, "", alias.asname or "", for_types) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        yield from (Import(module, alias.name, alias.asname or alias.name, for_types) for alias in node.names)
    elif isinstance(node, ast.If) and _is_for_types(node):
        for body, typed in ((node.body, True), (node.orelse, for_types)):
            for statement in body:
                yield from _imports(statement, for_types=typed)
    else:
        for part in ast.iter_child_nodes(node):
            if isinstance(part, STATEMENTS):
                yield from _imports(part, for_types=for_types)


def _exports(tree: ast.Module) -> Iterator[Import]:
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.If, ast.Try)):
            yield from _imports(node, for_types=False)


def _is_for_types(node: ast.If) -> bool:
    test = node.test
    return (test.id if isinstance(test, ast.Name) else getattr(test, "attr", "")) == "TYPE_CHECKING"


# From an import to the modules behind it. -----------------------------------------------------------------------------


def imported_modules(files: Iterable[Path]) -> frozenset[str]:
    """The modules of `harness` that source files import, and those that these import in turn; without LEFT_OUT."""
    return closure(line for file in files for line in _run_lines(file))


def closure(lines: Iterable[Import]) -> frozenset[str]:
    """The modules of `harness` behind some imports, and those behind their imports in turn; without LEFT_OUT."""
    found: set[str] = set()
    waiting = [line for line in lines if _is_ours(line.module)]
    seen = set(waiting)
    while waiting:
        for module, file in _homes(waiting.pop()).items():
            if module in found or is_left_out(module):
                continue
            found.add(module)
            news = {line for line in _run_lines(file) if _is_ours(line.module)} - seen
            seen |= news
            waiting += news
    return frozenset(found)


def is_left_out(module: str) -> bool:
    return module in LEFT_OUT or any(module.startswith(f"{package}.") for package in ENTIRELY)


def _is_ours(module: str) -> bool:
    return module == "harness" or module.startswith("harness.")


def _run_lines(file: Path) -> Iterable[Import]:
    """What a file imports when it runs; of a face that is taken whole, what it loads when a name is first used too."""
    lines = read_source(file).imports
    return lines if file.name == "__init__.py" else [line for line in lines if not line.for_types]


def _homes(line: Import) -> dict[str, Path]:
    """The modules whose code stands behind an import, with their files."""
    file = _located(line.module)
    if file is None:
        return {}
    if file.name == "__init__.py" and line.name not in ("", "*"):
        exported = [export for export in read_source(file).exports if export.called == line.name]
        if exported:
            return {name: home for export in exported for name, home in _homes(export).items()}
        below = _located(f"{line.module}.{line.name}")
        if below is not None:
            return {f"{line.module}.{line.name}": below}
    return {line.module: file}


@cache
def _located(module: str) -> Path | None:
    """`find_source` of a module of Harness, which does not move while a process runs."""
    return find_source(module)


def neighbours(file: Path) -> list[Path]:
    """The modules beside an unpackaged file, or in packages beside it, that it imports, directly or through others."""
    found: dict[Path, None] = {}
    waiting = [(file, line) for line in read_source(file).imports]
    while waiting:
        importer, line = waiting.pop()
        for near in _beside(importer, line, file.parent):
            if near != file and near not in found:
                found[near] = None
                waiting += [(near, inner) for inner in read_source(near).imports]
    return sorted(found)


def _beside(importer: Path, line: Import, folder: Path) -> Iterator[Path]:
    """The files below `folder` that one import may run: the module, its parents, and the name if that is a module."""
    dots = len(line.module) - len(line.module.lstrip("."))
    home = folder if not dots else importer.parents[dots - 1]
    parts = [part for part in line.module.lstrip(".").split(".") if part]
    for part in (*parts, *([line.name] if line.name else [])):
        home = home / part
        yield from (file for file in (home.with_name(f"{part}.py"), home / "__init__.py") if file.is_file())


def libraries(files: Iterable[Path]) -> frozenset[str]:
    """The top-level packages that some files import and that are neither Harness nor Python's own."""
    tops = {line.module.partition(".")[0] for file in files for line in read_source(file).imports if not line.for_types}
    return frozenset(tops - {"", "harness", "harness_plugins"} - sys.stdlib_module_names)


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
