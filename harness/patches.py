"""What others compute with, as it was before a stranger's code ran: functions and classes of Harness, torch and numpy.

Code that puts its own in the place of one of these changes the numbers of everybody after it in the process. A library
that replaces parts of itself when it is imported (torch does) is no such stranger.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

LIBRARIES = ("harness", "harness_plugins", "math", "numpy", "random", "scipy", "sklearn", "torch", "torchvision")
OF_CLASSES = (
    "harness",
    "torch.nn.modules",
    "torch._tensor",
    "torch.Tensor",
    "torch.optim",
    "torch.utils.data",
)  # whose classes count
SPECIAL = ("__call__", "__getattr__", "__init__", "__setattr__")  # names with underscores that count
MISSING = object()


@dataclass(frozen=True)
class Names:
    """What the libraries that are loaded hold under each name. It takes 40 ms to list, and as long to compare."""

    held: tuple[tuple[Any, str, dict[str, Any]], ...]  # of a module or a class, what it is called, by name

    @classmethod
    def now(cls) -> Names:
        held: dict[int, tuple[Any, str, dict[str, Any]]] = {}
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] not in LIBRARIES or not isinstance(module, ModuleType):
                continue
            held[id(module)] = (module, name, dict(vars(module)))
            if name.startswith(OF_CLASSES):
                held |= {id(one): (one, _called(one), dict(vars(one))) for one in _classes(module)}
        return cls(tuple(held.values()))

    def changed(self) -> list[str]:
        """The names that a stranger has put something else under; it is undone."""
        told = set()
        for owner, name, key, before in self._replaced():
            with suppress(AttributeError, TypeError):  # a class of C
                delattr(owner, key) if before is MISSING else setattr(owner, key, before)
                told.add(f"{name}.{key}")
        return sorted(told)

    def _replaced(self) -> Iterator[tuple[Any, str, str, Any]]:
        for owner, name, held in self.held:
            present = vars(owner)
            for key, before in held.items():
                now = present.get(key, MISSING)
                if now is not before and _counts(name, key, before, now):
                    yield owner, name, key, before
            if isinstance(owner, type):
                for key in [
                    key for key in present if key not in held and any(key in vars(base) for base in owner.__mro__[1:])
                ]:
                    if _of_a_stranger(present[key], key):
                        yield owner, name, key, MISSING


def _classes(module: ModuleType) -> list[type]:
    return [one for one in vars(module).values() if isinstance(one, type) and _called(one).startswith(OF_CLASSES)]


def _called(one: type) -> str:
    return f"{one.__module__}.{one.__qualname__}"


def _counts(name: str, key: str, before: Any, now: Any) -> bool:
    """Is it a stranger's, in the place of something to compute with?"""
    if (key.startswith("__") and key not in SPECIAL) or isinstance(before, ModuleType):
        return False
    if callable(before) or isinstance(before, staticmethod | classmethod | property):
        return now is MISSING or _of_a_stranger(now, key)
    return name.startswith("harness") and isinstance(before, int | float | str | tuple)  # a constant of ours


def _of_a_stranger(value: Any, key: str) -> bool:
    """Has it another name than that which it stands under, or is its code outside of the libraries?"""
    value = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
    code = getattr(value, "__code__", None)
    renamed = key not in SPECIAL and getattr(value, "__name__", "") != key
    return callable(value) and (renamed or (code is not None and not _is_of_a_library(code.co_filename)))


def _is_of_a_library(file: str) -> bool:
    if file.startswith("<"):  # made up, as the methods of a dataclass are
        return True
    home = file.removeprefix(f"{sysconfig.get_path('stdlib')}/")
    return file.startswith(_homes()) or (home != file and not home.startswith(("site-packages", "dist-packages")))


@cache
def _homes() -> tuple[str, ...]:
    """The folders of the libraries' code."""
    loaded = [getattr(sys.modules.get(name), "__file__", None) for name in LIBRARIES if name not in ("math", "random")]
    return tuple(f"{Path(file).parent}/" for file in loaded if file)
