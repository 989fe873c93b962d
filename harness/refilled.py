"""A snapshot (harness.snapshot) put back into what was built anew in the same way."""

from __future__ import annotations

import types
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.snapshot import NUMBERS, PLAIN, Node, Unfit, hidden_cells, hooks_of, plain_parts, set_generator


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Of a tensor of a snapshot: how it lies in memory."""

    dtype: str  # "float32"
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    on_host: bool  # in the memory of the CPU, whatever device trains
    learns: bool  # is it a leaf that wants a gradient?
    shared: int = -1  # equal for those that share memory; -1: it shares none
    offset: int = 0  # in what it shares

    @property
    def bytes(self) -> int:
        return prod(self.shape) * dtype_of(self.dtype).itemsize


def dtype_of(name: str) -> torch.dtype:
    """Of a name that is one. Raises Unfit."""
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise Unfit(f"'{name}' is no type of numbers")
    return found


def layouts(tensors: Sequence[Tensor]) -> list[Layout]:
    """How each of some tensors lies in memory."""
    places = [each.untyped_storage().data_ptr() for each in tensors]
    many = {place for place, times in Counter(places).items() if place and times > 1}
    return [
        Layout(
            dtype=str(each.dtype).removeprefix("torch."),
            shape=tuple(each.shape),
            stride=each.stride(),
            on_host=each.device.type == "cpu",
            learns=each.requires_grad and each.is_leaf,
            shared=places.index(place) if place in many else -1,
            offset=int(each.storage_offset()) if place in many else 0,
        )
        for each, place in zip(tensors, places, strict=True)
    ]


Kept = tuple[Layout, Tensor]  # a tensor of a snapshot: its layout, and its values, contiguous and on the CPU


class Refiller:
    """Fills in what was built anew. What does not fit raises Unfit, and leaves behind what is half filled in."""

    def __init__(self, tensors: Sequence[Kept], device: torch.device) -> None:
        self.tensors = tensors
        self.device = device
        self._made: dict[int, Tensor] = {}  # by index
        self._known: dict[int, Any] = {}  # by number
        self._filled: set[int] = set()  # ids of what was filled in, which is nobody else's
        self._groups: dict[int, int] = {}  # where tensors lie -> which of the snapshot's share that
        self._places: dict[int, int] = {}  # the inverse
        self._alive: list[Any] = []  # an id is of this object alone as long as it lives

    @torch.no_grad()
    def put_back(self, tree: Mapping[str, Node], roots: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the snapshot by name: objects of `roots` filled in, and others in their place."""
        return {name: self._value(node, roots.get(name), name) for name, node in tree.items()}

    def _value(self, node: Node, there: Any, path: str) -> Any:
        if not isinstance(node, list):
            return node
        kind = node[0]
        if kind == "same":
            return there
        if kind == "tensor":
            return self._tensor(node[1], there, path)
        if kind in ("array", "number"):
            return self._array(node, there)
        if kind == "constant":
            return _constant(node)
        if kind == "ref":
            return self._known[node[1]]
        if kind in ("module", "object", "cells", "generator"):
            return self._filled_in(node, there, path)
        return self._container(node, there, path)

    def _container(self, node: Node, there: Any, path: str) -> Any:
        kind, number, content = node[:3]
        if kind == "dict":
            return self._dict(node, there, path)
        if kind in ("tuple", "set", "frozenset"):
            old = there if isinstance(there, tuple) else ()
            values = tuple(self._values(content, old, path))
            made: Any = values if kind == "tuple" else set(values) if kind == "set" else frozenset(values)
            if kind == "tuple" and len(old) == len(values) and all(map(_is, old, values)):
                made = there
            self._known[number] = made
            return made
        new: Any = [] if kind == "list" else deque(maxlen=node[3])
        fits = type(there) is type(new) and getattr(there, "maxlen", None) == getattr(new, "maxlen", None)
        made = there if fits and self._is_free(there) else new
        self._known[number] = made
        filled = self._values(content, there if fits else (), path)
        made.clear()
        made.extend(filled)
        return made

    def _dict(self, node: Node, there: Any, path: str) -> Any:
        made = there if isinstance(there, dict) and self._is_free(there) else {}
        self._known[node[1]] = made
        old = dict(there) if isinstance(there, dict) else {}
        items = [(tuple(key[1:]) if isinstance(key, list) else key, value) for key, value in node[2]]
        values = {key: self._value(value, old.get(key), f"{path}[{key!r}]") for key, value in items}
        made.clear()
        made.update(values)
        return made

    def _values(self, nodes: Sequence[Node], there: Any, path: str) -> list[Any]:
        old = list(there)
        old += [None] * (len(nodes) - len(old))
        return [self._value(node, old[place], f"{path}[{place}]") for place, node in enumerate(nodes)]

    def _is_free(self, there: Any) -> bool:
        """Is nothing else of the snapshot in this object? It is taken now."""
        free = id(there) not in self._filled
        self._filled.add(id(there))
        self._alive.append(there)
        return free

    def _filled_in(self, node: Node, there: Any, path: str) -> Any:
        kind, number = node[:2]
        if there is None or not self._is_free(there):
            raise Unfit(f"{path} is not there")
        self._known[number] = there
        if kind == "generator":
            set_generator(there, self._value(node[2], None, path))
        elif kind == "cells":
            self._cells(node[2], there, path)
        elif type(there).__name__ != node[2]:
            raise Unfit(f"{path} is a {type(there).__name__}, and was a {node[2]}")
        elif kind == "module":
            self._module(node[3], there, path)
        else:
            self._attributes(node[3], there, plain_parts(there) or {}, path)
        return there

    def _attributes(self, nodes: Sequence[Node], there: Any, old: Mapping[str, Any], path: str) -> None:
        for name in set(old) - {name for name, _ in nodes}:
            del vars(there)[name]
        for name, node in nodes:
            vars(there)[name] = self._value(node, old.get(name), f"{path}.{name}")  # frozen ones are filled in, too

    def _cells(self, nodes: Sequence[Node], there: Any, path: str) -> None:
        old = hidden_cells(there) or []
        if len(old) != len(nodes):
            raise Unfit(f"{path} is another function")
        cells = {}
        if isinstance(there, types.FunctionType):
            cells = dict(zip(there.__code__.co_freevars, there.__closure__ or (), strict=True))
        for node, (name, value) in zip(nodes, old, strict=True):
            new = self._value(node, value, f"{path}.{name}")
            if name in cells:
                cells[name].cell_contents = new
            elif new is not value and not (type(new) in NUMBERS and new == value):
                raise Unfit(f"{path}.{name} is another")

    def _module(self, parts: Mapping[str, Any], module: nn.Module, path: str) -> None:
        module.training = parts["training"]
        known = {name: weight for name, weight in module._parameters.items() if weight is not None}
        if list(known) != [name for name, _, _ in parts["weights"]]:
            raise Unfit(f"{path} has other weights")
        for name, index, learns in parts["weights"]:
            if self._tensor(index, known[name], f"{path}.{name}") is not known[name]:
                raise Unfit(f"{path}.{name} has another shape")
            known[name].requires_grad_(learns)
        for name, node in parts["buffers"]:
            module._buffers[name] = self._value(node, module._buffers.get(name), f"{path}.{name}")
        for name in set(module._buffers) - {name for name, _ in parts["buffers"]}:
            del module._buffers[name]
        module._non_persistent_buffers_set = set(parts["passing"])
        if list(module._modules) != [name for name, _ in parts["modules"]]:
            raise Unfit(f"{path} has other modules")
        for name, node in parts["modules"]:
            self._value(node, module._modules[name], f"{path}.{name}")
        hooks = [list(vars(module)[name].values()) for name in hooks_of(module)]
        for nodes, old in zip(parts["hooks"], hooks, strict=True):
            self._values(nodes, old, f"{path}'s hooks")
        own = {name: value for name, value in vars(module).items() if name not in PLAIN}
        self._attributes(parts["own"], module, own, path)

    # Tensors. ----------------------------------------------------------------------------------------------------

    def _tensor(self, index: int, there: Any, path: str) -> Tensor:
        if index not in self._made:
            layout, values = self.tensors[index]
            if self._takes(there, index, layout):
                self._made[index] = there.copy_(values)
                self._is_free(there)
            else:
                self._made[index] = self._laid_out(layout, values, path)
        return self._made[index]

    def _takes(self, there: Any, index: int, layout: Layout) -> bool:
        """Can it be filled in: of the same layout, and sharing its memory with those that it shared it with?"""
        if not isinstance(there, Tensor) or id(there) in self._filled or not there.is_leaf or _overlaps(there):
            return False
        found, place = layouts([there])[0], there.untyped_storage().data_ptr()
        apart = replace(layout, shared=-1, offset=0)
        if isinstance(there, nn.Parameter):
            found = replace(found, learns=layout.learns)  # set by its module
        if found != apart or (layout.shared >= 0 and there.storage_offset() != layout.offset):
            return False
        group = layout.shared if layout.shared >= 0 else -2 - index
        fits = self._groups.get(place, group) == group and self._places.get(group, place) == place
        if fits and place:
            self._groups[place], self._places[group] = group, place
        return fits

    def _laid_out(self, layout: Layout, values: Tensor, path: str) -> Tensor:
        if layout.shared >= 0:
            raise Unfit(f"{path} shares its memory with another tensor")
        device = torch.device("cpu") if layout.on_host else self.device
        made = torch.empty_strided(layout.shape, layout.stride, dtype=values.dtype, device=device)
        made = values.to(device, copy=True) if _overlaps(made) else made.copy_(values)
        return made.requires_grad_(layout.learns)

    def _array(self, node: Node, there: Any) -> Any:
        kind, dtype, shape, index = node
        content = self.tensors[index][1].numpy().tobytes()
        values = np.frombuffer(content, dtype=np.dtype(dtype), count=int(np.prod(shape))).reshape(shape).copy()
        if kind == "number":
            return values[()]
        fits = isinstance(there, np.ndarray) and there.dtype == values.dtype and there.shape == values.shape
        if fits and there.flags.writeable and self._is_free(there):
            there[...] = values
            return there
        return values


def _constant(node: Node) -> Any:
    _, kind, text = node
    if kind == "size":
        return torch.Size(text)
    return torch.device(text) if kind == "device" else getattr(torch, text)


def _is(one: Any, other: Any) -> bool:
    return one is other


def _overlaps(tensor: Tensor) -> bool:
    """Does one place in memory hold several of its elements?"""
    return any(step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True))
