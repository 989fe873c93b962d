"""What evaluations are handed, and share: weights, features, labels, inputs. Who writes into it is told.

Torch counts writes to a tensor (`_version`). Writes around it, through numpy or `.data`, show in checksums alone, which
are taken when code of others is to judge.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks")


@dataclass
class _Kept:
    name: str  # what a message calls it
    tensor: Tensor
    version: int
    checksum: int | None = None  # None: not taken yet


class Handed:
    """Tensors that are shared, as they were when they were added."""

    def __init__(self) -> None:
        self._kept: dict[int, _Kept] = {}
        self.sealed = False

    def add(self, name: str, value: Any) -> None:
        """A tensor, or all tensors of a dataclass such as rows, columns and datasets, each by its own name."""
        for called, tensor in _tensors(name, value):
            if id(tensor) not in self._kept:
                checksum = _checksum(tensor) if self.sealed else None
                self._kept[id(tensor)] = _Kept(called, tensor, _version(tensor), checksum)

    def seal(self) -> None:
        """From now on checksums tell, too. 6 GB/s."""
        self.sealed = True
        for kept in self._kept.values():
            kept.checksum = _checksum(kept.tensor)

    def written(self) -> list[str]:
        """The names of what was written into, each once."""
        found = [kept.name for kept in self._kept.values() if self._is_written(kept)]
        return list(dict.fromkeys(found))

    def _is_written(self, kept: _Kept) -> bool:
        if _version(kept.tensor) != kept.version:
            return True
        return kept.checksum is not None and _checksum(kept.tensor) != kept.checksum


@dataclass(frozen=True)
class Frozen:
    """A method as evaluations get it: in eval mode, with no weight to be trained."""

    method: nn.Module
    parameters: dict[str, int]  # the identity of each
    ways: dict[str, tuple[Any, ...]]  # hooks of each module, and functions that it has in the place of its class's

    @classmethod
    def of(cls, method: nn.Module) -> Frozen:
        """A method as it is now."""
        return cls(method, _parameters(method), _ways(method))

    def changed(self) -> list[str]:
        """What is no longer so: "left the model in train mode"."""
        told = []
        if any(module.training for module in self.method.modules()):
            told.append("left the model in train mode")
        if any(weight.requires_grad for weight in self.method.parameters()):
            told.append("left the model's weights trainable")
        if _parameters(self.method) != self.parameters:
            told.append("replaced weights of the model")
        if _ways(self.method) != self.ways:
            told.append("left hooks or functions of its own on the model")
        return told


def threads_left(before: set[int | None]) -> bool:
    """Do threads run that did not before? They may write whenever they like."""
    return any(thread.ident not in before for thread in threading.enumerate())


def _parameters(method: nn.Module) -> dict[str, int]:
    return {name: id(value) for name, value in method.named_parameters()}


def _ways(method: nn.Module) -> dict[str, tuple[Any, ...]]:
    return {name: (*_hooks(module), *_own_functions(module)) for name, module in method.named_modules()}


def _hooks(module: nn.Module) -> tuple[Any, ...]:
    return tuple(tuple(getattr(module, hooks)) for hooks in HOOKS)


def _own_functions(module: nn.Module) -> tuple[Any, ...]:
    known = type(module)
    return tuple((name, id(value)) for name, value in vars(module).items() if callable(getattr(known, name, None)))


def _tensors(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, tuple | list):
        for part in value:
            if is_dataclass(part):
                yield from _tensors(name, part)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            known = field.name in ("labels", "captions", "factors", "targets", "paired")
            yield from _tensors(field.name if known else name, getattr(value, field.name))


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


def _checksum(tensor: Tensor) -> int:
    """CRC-32 of its shape and its bytes, as they lie in memory."""
    if tensor.layout != torch.strided or tensor.is_meta:
        return 0
    values = tensor.detach().cpu()
    flat = values.as_strided((values.untyped_storage().nbytes() // values.element_size(),), (1,), 0)
    laid_out = zlib.crc32(repr((values.shape, values.stride())).encode())
    return zlib.crc32(flat.view(torch.uint8).numpy(), laid_out)  # type: ignore[arg-type]
