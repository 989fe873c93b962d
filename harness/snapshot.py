"""What objects hold, as JSON and tensors, and back into the same objects built anew: nothing is unpickled or made up.

    values      null, true, 3, 0.5, "text", ["tensor", i], ["array", dtype, shape, i]: the i-th in the list of tensors
    made anew   ["list", n, values], ["tuple", ...], ["set", ...], ["deque", n, values, maxlen],
                ["dict", n, [[key, value], ...]], ["constant", kind, text]
    filled in   ["object", n, class, [[name, value], ...]], ["module", n, class, parts], ["cells", n, values],
                ["generator", n, state]
    left alone  ["same"]: what cannot change
    seen above  ["ref", n]: the n-th of these, which two names share

Numbers, texts, tensors, arrays and their containers come back from the snapshot alone. All else, a module or an object
of any class of Python, must be the very one that was there at the start (`Taker.start`): then the one that is built
anew in its place is filled in. What a snapshot cannot hold, such as a file or an iterator, raises Unkept.
"""

from __future__ import annotations

import functools
import random
import re
import types
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import HarnessError

Node = Any  # JSON
PLAIN = frozenset(vars(nn.Module()))  # where torch keeps parameters, buffers, modules and hooks
HOOKS = tuple(sorted(name for name in PLAIN if name.endswith(("_hooks", "_hooks_with_kwargs", "_always_called"))))
NUMBERS = (bool, int, float, str, type(None))
UNCHANGING = (
    *(type, types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType, types.ModuleType, np.ufunc),
    *(Enum, PurePath, re.Pattern, range, slice, bytes, complex, weakref.ref, np.dtype, type(...), type(NotImplemented)),
    *(torch.memory_format, torch.layout, type(functools.lru_cache(len)), types.WrapperDescriptorType),
)
OBJECT = object()  # for what has no path at the start


class Unkept(HarnessError):
    """Something that a snapshot cannot hold."""


class Unfit(HarnessError):
    """A snapshot of something else."""


class Taker:
    """Takes snapshots of things that are known by name since the start."""

    def __init__(self, start: Mapping[str, Any]) -> None:
        self.began: dict[str, Any] = {}  # what was at each path
        self.starting = True
        self.taken(start)
        self.starting = False

    def taken(self, roots: Mapping[str, Any]) -> tuple[Node, list[Tensor]]:
        """A snapshot of everything that `roots` reach. Raises Unkept with the place of what it cannot hold."""
        self.tensors: list[Tensor] = []
        self._indices: dict[int, int] = {}
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []  # an id is of this object alone as long as it lives
        return {name: self._node(value, name) for name, value in roots.items()}, self.tensors

    def _same(self, value: Any, path: str) -> bool:
        """Is it what was there at the start?"""
        if self.starting:
            self.began.setdefault(path, value)
        return self.began.get(path, OBJECT) is value

    def _node(self, value: Any, path: str) -> Node:
        if type(value) in NUMBERS:
            return value
        if isinstance(value, Tensor):
            return ["tensor", self._index(value, path)]
        if isinstance(value, (np.ndarray, np.generic)):
            return self._array(value, path)
        if isinstance(value, (torch.device, torch.dtype, torch.Size)):
            return _constant(value)
        if id(value) in self._numbers:
            return ["ref", self._numbers[id(value)]]
        number = self._numbers[id(value)] = len(self._numbers)
        self._alive.append(value)
        if type(value) in (list, tuple, set, frozenset):
            return [type(value).__name__, number, self._nodes(value, path)]
        if type(value) is deque:
            return ["deque", number, self._nodes(value, path), value.maxlen]
        if type(value) in (dict, OrderedDict, defaultdict):
            if type(value) is not dict and not self._same(value, path):
                raise Unkept(f"{path} is a new {type(value).__name__}")
            return [
                "dict",
                number,
                [[self._key(key, path), self._node(v, f"{path}[{key!r}]")] for key, v in value.items()],
            ]
        return self._filled_in(value, number, path)

    def _filled_in(self, value: Any, number: int, path: str) -> Node:
        """Of what must be the object that it was at the start."""
        name = type(value).__name__
        if not self._same(value, path):
            raise Unkept(f"{path} is a {name} that was not there when training began")
        if isinstance(value, nn.Module):
            return ["module", number, name, self._module(value, path)]
        if isinstance(value, (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)):
            return ["generator", number, self._node(generator_state(value), path)]
        cells = hidden_cells(value)
        if cells is not None:
            return ["cells", number, [self._node(each, f"{path}.{name}") for name, each in cells]]
        if isinstance(value, UNCHANGING):
            return ["same"]
        parts = plain_parts(value)
        if parts is None:
            raise Unkept(f"{path} is a {name}")
        return ["object", number, name, [[key, self._node(each, f"{path}.{key}")] for key, each in parts.items()]]

    def _module(self, module: nn.Module, path: str) -> Node:
        own = {key: value for key, value in vars(module).items() if key not in PLAIN}
        weights = {key: each for key, each in module._parameters.items() if each is not None}
        for key, weight in weights.items():
            if not self._same(weight, f"{path}.{key} "):
                raise Unkept(f"{path}.{key} is a weight that was not there when training began")
        return {
            "training": module.training,
            "weights": [[key, self._index(each, path), each.requires_grad] for key, each in weights.items()],
            "buffers": [[key, self._node(each, f"{path}.{key}")] for key, each in module._buffers.items()],
            "passing": sorted(module._non_persistent_buffers_set),
            "modules": [[key, self._node(each, f"{path}.{key}")] for key, each in module._modules.items()],
            "hooks": [self._nodes(vars(module)[name].values(), f"{path}.{name}") for name in hooks_of(module)],
            "own": [[key, self._node(value, f"{path}.{key}")] for key, value in own.items()],
        }

    def _nodes(self, values: Iterable[Any], path: str) -> list[Node]:
        return [self._node(value, f"{path}[{place}]") for place, value in enumerate(values)]

    def _key(self, key: Any, path: str) -> Node:
        if type(key) in NUMBERS:
            return key
        if type(key) is tuple and all(type(part) in NUMBERS for part in key):
            return ["tuple", *key]
        raise Unkept(f"{path} has a {type(key).__name__} for a key")

    def _index(self, value: Tensor, path: str) -> int:
        """The place of a tensor in the list, where each is once."""
        if id(value) not in self._indices:
            if value.layout != torch.strided or value.is_quantized or value.is_meta:
                raise Unkept(f"{path} is a tensor of layout {value.layout}")
            self._indices[id(value)] = len(self.tensors)
            self.tensors.append(value)
        return self._indices[id(value)]

    def _array(self, value: Any, path: str) -> Node:
        values = np.asarray(value)
        if values.dtype.hasobject or values.dtype.names:
            raise Unkept(f"{path} is an array of {values.dtype}")
        content = np.frombuffer(values.tobytes() or b"\0", dtype=np.uint8).copy()
        number = np.dtype(values.dtype).str
        return [
            "number" if isinstance(value, np.generic) else "array",
            number,
            list(values.shape),
            self._bytes(content),
        ]

    def _bytes(self, content: np.ndarray) -> int:
        self.tensors.append(torch.from_numpy(content))
        return len(self.tensors) - 1


def _constant(value: Any) -> Node:
    if isinstance(value, torch.Size):
        return ["constant", "size", list(value)]
    return ["constant", "device" if isinstance(value, torch.device) else "dtype", str(value).removeprefix("torch.")]


def hooks_of(module: nn.Module) -> Iterator[str]:
    """The names of the places where a module has hooks."""
    return (name for name in HOOKS if isinstance(vars(module).get(name), Mapping) and vars(module)[name])


def hidden_cells(value: Any) -> list[tuple[str, Any]] | None:
    """What a function of Python closes over, what a partial one is given, what a method belongs to, by name; else None.

    Empty cells, of names that are not bound yet, are left out.
    """
    if isinstance(value, types.FunctionType):
        names = value.__code__.co_freevars
        cells = zip(names, value.__closure__ or (), strict=True)
        inside = [(name, cell.cell_contents) for name, cell in cells if _is_bound(cell)]
        return [*inside, *((f"default {place}", each) for place, each in enumerate(value.__defaults__ or ()))]
    if isinstance(value, functools.partial):
        return [("func", value.func), ("args", value.args), ("keywords", value.keywords)]
    if isinstance(value, types.MethodType):
        return [("func", value.__func__), ("self", value.__self__)]
    return None


def _is_bound(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def plain_parts(value: Any) -> dict[str, Any] | None:
    """The attributes of an object that is nothing else than they are; None for what has something inside of C."""
    cls = type(value)
    if cls.__reduce_ex__ is not object.__reduce_ex__ or cls.__reduce__ is not object.__reduce__:
        return None
    try:
        content = object.__reduce_ex__(value, 2)[2]  # type: ignore[misc]
    except TypeError:  # Python's own word for an object that has more
        return None
    slots: Mapping[str, Any] = {}
    if isinstance(content, tuple):
        content, slots = content
    if slots or isinstance(value, (list, dict, set, str, int, float, tuple)):
        return None
    return dict(vars(value)) if hasattr(value, "__dict__") else {}


def generator_state(generator: Any) -> Any:
    """What a generator draws by: plain values."""
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.get_state() if isinstance(generator, np.random.RandomState) else generator.getstate()


def set_generator(generator: Any, state: Any) -> None:
    """The inverse."""
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.setstate(state)
