"""State that a method keeps where nobody saves it: plain attributes that change in training.

A queue of keys as `self.queue = torch.zeros(K, D)` works until the method is loaded again, or moved to another device.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from torch import Tensor, nn

_OF_TORCH = frozenset(vars(nn.Module()))  # where torch keeps parameters, buffers, modules and hooks


def plain_state(method: nn.Module) -> dict[str, Any]:
    """A copy of what plain attributes of all modules hold, also in lists and dicts: numbers, texts, tensors, arrays."""
    kept = {id(parameter) for parameter in method.parameters()}  # saved, whoever else refers to them, as nn.GRU does
    return {
        f"{prefix}.{name}".lstrip("."): _copied(value, kept)
        for prefix, module in method.named_modules()
        for name, value in vars(module).items()
        if name not in _OF_TORCH
    }


def unsaved_note(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Which plain attributes changed between two states, in one line; "" where none did."""
    names = [name for name, value in after.items() if name not in before or not _same(before[name], value)]
    if not names:
        return ""
    what = " and ".join(filter(None, [", ".join(names[:2]), f"{len(names) - 2} more" if len(names) > 2 else ""]))
    return (
        f"{what} changed in training, but no parameter or buffer keeps it: it is not saved; use register_buffer(), "
        "with persistent=False for what training alone needs"
    )


class _Ignored:
    """Stands for what cannot be compared: objects of other kinds."""


_IGNORED = _Ignored()


def _copied(value: Any, kept: set[int]) -> Any:
    if isinstance(value, Tensor) and id(value) in kept:
        return _IGNORED
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, (list, tuple, deque)):
        return [_copied(each, kept) for each in value]
    if isinstance(value, dict):
        return {key: _copied(each, kept) for key, each in value.items()}
    return value if value is None or isinstance(value, (bool, int, float, str)) else _IGNORED


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return one.shape == other.shape and one.dtype == other.dtype and bool((one == other).all())
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    return bool(one == other)
