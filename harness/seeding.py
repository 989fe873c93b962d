"""Randomness by purpose: every use draws from a generator of its own, derived from the run's seed and a name.

So an evaluation that is added, removed or reordered changes no other number, and the methods of a run are paired:
seed s fixes split, initialisation, order and augmentation for all of them.
"""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derived_seed(seed: int, *purpose: str) -> int:
    """A 63-bit seed: BLAKE2b of the seed and the purpose.

    >>> derived_seed(0, "order") == derived_seed(0, "order") != derived_seed(0, "split")
    True
    """
    text = "\x1f".join([str(seed), *purpose]).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def derived_generator(seed: int, *purpose: str) -> torch.Generator:
    """A torch.Generator on the CPU for one purpose."""
    import torch

    return torch.Generator().manual_seed(derived_seed(seed, *purpose))


def seed_everything(seed: int, *purpose: str) -> None:
    """Seed the global generators of torch (all devices), numpy and Python, for code that draws from them."""
    import numpy
    import torch

    value = derived_seed(seed, *purpose)
    torch.manual_seed(value)
    numpy.random.seed(value % 2**32)
    random.seed(value)
