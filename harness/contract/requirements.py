"""What checks demand of a value: one line with what was found and what was expected."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

TOLERANCE = 1e-4  # between an example encoded in two different batches


class Broken(AssertionError):
    """The contract is broken: one line with what was found and what was expected."""


def require(condition: bool, message: str) -> None:
    """Raise Broken with `message` unless `condition`."""
    if not condition:
        raise Broken(message)


def require_shape(what: str, value: Tensor, expected: Iterable[int]) -> None:
    require(isinstance(value, Tensor), f"{what} returned a {type(value).__name__}, expected a tensor")
    require(tuple(value.shape) == tuple(expected), f"{what} returned {tuple(value.shape)}, expected {tuple(expected)}")


def require_finite(what: str, value: Tensor) -> None:
    require(bool(torch.isfinite(value).all()), f"{what} returned values that are not finite")


def require_same_alone(what: str, function: Callable[[Tensor], Tensor], inputs: Tensor) -> None:
    """The answer to an image depends on that image alone, not on the others of its batch, and is always the same."""
    whole, again, alone = function(inputs), function(inputs), function(inputs[:4])
    require(torch.equal(whole, again), f"{what} gave two answers to the same images: no noise in eval mode")
    gap = float((whole[:4] - alone).abs().max())
    require(gap < TOLERANCE, f"{what} of an image changes by {gap:.2g} with the other images of its batch")
