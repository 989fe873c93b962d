"""What must hold of a method's answers, as one-line reasons: the same words in a bench and in `harness plugins check`.

Every function returns the reason, or "" where all is well. B examples, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

AMONG = 8  # rows that are answered together, to compare with
ALONE = 2  # of these, answered once more without the others


def shape_fault(what: str, value: Any, expected: Iterable[int]) -> str:
    """Is it a tensor of that shape?

    >>> shape_fault("the loss", {"total": 1.0}, ())
    'the loss returned a dict, expected a tensor'
    """
    if not isinstance(value, Tensor):
        return f"{what} returned a {type(value).__name__}, expected a tensor"
    if tuple(value.shape) != tuple(expected):
        return f"{what} returned {tuple(value.shape)}, expected {tuple(expected)}"
    return ""


def finite_fault(what: str, value: Tensor) -> str:
    """Are all its values finite?"""
    return "" if bool(torch.isfinite(value).all()) else f"{what} returned values that are not finite"


def loss_fault(name: str, loss: Any) -> str:
    """Is it a scalar that has a gradient? Its value is not looked at, so that no step waits for the device.

    name: of the optimiser whose turn it is; "" for that of `loss`.
    """
    what = f"the loss {name}".rstrip()
    fault = shape_fault(what, loss, ())
    if fault:
        return f"{fault}: reduce it, e.g. by .mean()" if isinstance(loss, Tensor) else fault
    if not loss.requires_grad:
        return f"{what} has no gradient: no trainable weight is in it (detached, or made under no_grad?)"
    return ""


def features_fault(what: str, features: Any, n: int) -> str:
    """Are these one vector for each of n examples, (n,D)?"""
    if not isinstance(features, Tensor):
        return f"{what} returned a {type(features).__name__}, expected a tensor"
    if features.ndim != 2 or len(features) != n:
        return f"{what} returned {tuple(features.shape)}, expected ({n}, D): flatten before returning"
    return ""


def company_fault(
    what: str, function: Callable[[Tensor], Tensor], inputs: Tensor, *, tolerance: float, thing: str = "image"
) -> str:
    """Does the answer to an example depend on it alone, and is it always the same?

    inputs: at least two rows, as networks see them; the first few are answered among all of them, and without them.
    tolerance: what rounding may change, as a fraction of the largest value of the answers. thing: what an example is.
    """
    few = inputs[: max(1, min(ALONE, len(inputs) // 2))]
    whole, again, alone = function(inputs), function(inputs), function(few)
    largest = float(whole.detach().abs().max())
    if _gap(whole, again) > tolerance * largest:
        return f"{what} gave two answers to the same {thing}s: no noise in eval mode"
    gap = _gap(whole[: len(few)], alone)
    if gap > tolerance * largest:
        article = "an" if thing[0] in "aeiou" else "a"
        return f"{what} of {article} {thing} changes by {gap:.2g} with the other {thing}s of its batch"
    return ""


def _gap(one: Tensor, other: Tensor) -> float:
    return float((one.detach().float() - other.detach().float()).abs().max())
