"""Every public name that a plugin may import says what it is: modules, classes, functions and their public methods."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
from test_layers import PUBLIC
from torch import nn

COVERED_BY_THE_CLASS = {
    "forward",
    "train",
}  # of an nn.Module: what it maps to what stands in the docstring of its class


def modules() -> list[str]:
    names = []
    for public in PUBLIC:
        names.append(public)
        path = getattr(import_module(public), "__path__", [])
        names += [f"{public}.{info.name}" for info in pkgutil.iter_modules(path)]
    return names


def own(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Public classes and functions that are defined in the module, and public methods of the classes."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", "") != module.__name__:
            continue
        if inspect.isclass(value) or inspect.isfunction(value):
            yield name, value
        if inspect.isclass(value):
            yield from ((f"{name}.{each}", method) for each, method in methods(value))


def methods(owner: type) -> Iterator[tuple[str, Any]]:
    """Those that the class itself brings; the words of a base class or a Protocol of its module stand for its own."""
    module = vars(import_module(owner.__module__)).values()
    protocols = [each for each in module if getattr(each, "_is_protocol", False) and each is not owner]
    for name, value in vars(owner).items():
        method = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        bases = [base for base in (*owner.__mro__[1:], *protocols) if base.__module__.startswith("harness")]
        inherited = any(hasattr(base, name) for base in bases)
        if not inherited and not (issubclass(owner, nn.Module) and name in COVERED_BY_THE_CLASS):
            yield name, method


@pytest.mark.parametrize("name", modules())
def test_every_public_name_has_a_docstring(name: str) -> None:
    module = import_module(name)
    assert (module.__doc__ or "").strip()
    without = [public for public, value in own(module) if not (value.__doc__ or "").strip() or generated(value)]
    assert without == []


def generated(value: Any) -> bool:
    """A dataclass without a docstring gets its signature for one."""
    return inspect.isclass(value) and (value.__doc__ or "").startswith(f"{value.__name__}(")


def test_every_name_of_the_face_has_a_docstring() -> None:
    import harness.plugin as face

    spoken = [
        name for name in face.__all__ if inspect.isclass(value := getattr(face, name)) or inspect.isfunction(value)
    ]
    assert len(spoken) > 20
    assert [name for name in spoken if not (getattr(face, name).__doc__ or "").strip()] == []
