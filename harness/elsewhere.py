"""State of a method that lies in no object of it: in the modules and the classes that its code comes from.

A counter as `STEPS = 0` at the top of a plugin's file, or a list that a class holds for all its objects.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.snapshot import Taker, Unkept
from harness.state_file import bytes_of

OWN = ("torch", "harness", "builtins", "abc", "typing", "collections")  # packages whose modules hold no method's state
HELD: tuple[type, ...] = (bool, int, float, str, Tensor, np.ndarray, list, dict, set, deque)
HELD += (torch.Generator, random.Random, np.random.Generator, np.random.RandomState)


def fingerprints(method: nn.Module) -> dict[str, str]:
    """A fingerprint of each value that lies there, by its name; what no snapshot can hold is left out."""
    found = {}
    for name, value in _values(method):
        if isinstance(value, HELD) and name not in found:
            try:
                tree, tensors = Taker({name: value}).taken({name: value})
            except Unkept:
                continue
            digest = hashlib.blake2b(json.dumps(tree).encode(), digest_size=16)
            for tensor in tensors:
                digest.update(bytes_of(tensor))
            found[name] = digest.hexdigest()
    return found


def changed(before: dict[str, str], after: dict[str, str]) -> str:
    """The first name whose value is another now, or is new; "" where none is."""
    return next((name for name, value in after.items() if before.get(name) != value), "")


def _values(method: nn.Module) -> Iterator[tuple[str, Any]]:
    classes = {cls for module in method.modules() for cls in type(module).__mro__}
    strangers = [cls for cls in classes if cls.__module__.partition(".")[0] not in OWN]
    for module in sorted({cls.__module__ for cls in strangers}):
        for name, value in vars(sys.modules.get(module, sys)).items():
            if not name.startswith("__") and module in sys.modules:
                yield f"{module}.{name}", value
    for cls in strangers:
        for name, value in vars(cls).items():
            if not name.startswith("__"):
                yield f"{cls.__module__}.{cls.__qualname__}.{name}", value
