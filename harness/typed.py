"""What a plugin declares has the types that its dataclass says: told in one line where a value is of another.

Annotations are not checked by Python; a `takes=5` would be found in the middle of a plan, or after a training.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from harness.cleaned import one_line

LONGEST = 60  # characters of a value that are shown
WORDS = {
    str: "text",
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    type: "a class",
    Path: "a path",
    NoneType: "None",
}
NUMBERS = {int: Integral, float: Real}  # of numpy, too
SEQUENCES: dict[Any, Any] = {tuple: tuple, list: (list, tuple)}  # what may stand for each


class _Elsewhere:
    """What annotations name that is imported for type checkers alone, such as `nn.Module`: it may be anything."""

    Module = object


def type_fault(declared: Any, besides: Collection[str] = ()) -> str:
    """`takes is 5, expected a tuple of 'image', 'video' or 'text'`, of a dataclass and of those in it; "" where there
    is none. besides: fields that are not looked at.
    """
    hints = _hints(type(declared))  # type: ignore[arg-type]
    known = [field.name for field in fields(declared) if field.name not in besides]
    return next(filter(None, (fault_of(getattr(declared, name), hints[name], name) for name in known)), "")


@cache
def _hints(declared: Any) -> dict[str, Any]:
    known: dict[str, Any] = {}
    while True:
        try:
            return get_type_hints(declared, localns=known)
        except NameError as error:
            if error.name is None or error.name in known:
                raise
            known[error.name] = _Elsewhere


def fault_of(value: Any, hint: Any, name: str) -> str:
    """The same of a value that is to be of this type; `name` is what it is called."""
    parts = get_args(hint)
    if isinstance(hint, TypeVar):
        return fault_of(value, Union[hint.__constraints__], name) if hint.__constraints__ else ""  # noqa: UP007
    if get_origin(hint) in (Union, UnionType):
        faults = [fault_of(value, part, name) for part in parts]
        if "" in faults:
            return ""
        return next((fault for fault in faults if not fault.startswith(f"{name} is ")), _expected(value, hint, name))
    if isinstance(value, SEQUENCES.get(get_origin(hint), ())):
        return next(filter(None, (fault_of(each, parts[0], f"{name}[{i}]") for i, each in enumerate(value))), "")
    if not _fits(value, hint):
        return _expected(value, hint, name)
    inside = type_fault(value) if is_dataclass(get_origin(hint) or hint) else ""
    return f"{name}.{inside}" if inside else ""


def _fits(value: Any, hint: Any) -> bool:
    """Of anything but a union or a tuple."""
    origin = get_origin(hint) or hint
    if origin in (Any, _Elsewhere):
        return True
    if origin is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if origin is Callable:
        return callable(value)
    if origin in NUMBERS:
        return isinstance(value, NUMBERS[origin]) and not isinstance(value, bool)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(_fits(key, get_args(hint)[0]) for key in value)
    return isinstance(value, origin)


def _expected(value: Any, hint: Any, name: str) -> str:
    return f"{name} is {shown(value)}, expected {_words(hint)}"


def shown(value: Any) -> str:
    """A stranger's value in a message: short, on one line, with nothing that steers a terminal."""
    try:
        text = one_line(repr(value))
    except Exception:  # a stranger's __repr__
        text = f"a {type(value).__name__}"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _words(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(_words(part) for part in parts)
    if origin is Literal:
        return " or ".join(filter(None, (", ".join(map(repr, parts[:-1])), repr(parts[-1]))))
    if origin in (tuple, list):
        return f"a {origin.__name__} of {_words(parts[0])}"
    if origin is Callable:
        return "a function"
    if origin is Mapping:
        return f"a mapping from {_words(parts[0])}"
    return WORDS.get(hint, getattr(origin or hint, "__name__", str(hint)))
