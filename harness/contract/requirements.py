"""What checks demand of a value: one line with what was found and what was expected."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor

from harness.answers import company_fault, finite_fault, shape_fault
from harness.errors import NotApplicable

TOLERANCE = 1e-4  # of the largest value, between an example encoded in two different batches


class Broken(AssertionError):
    """The contract is broken: one line with what was found and what was expected."""


class Absent(NotApplicable):
    """A check that asks for nothing of this plugin, since it has no such capability."""


class Told(Exception):
    """Not against the contract, but its author should know of it."""


def require_none(fault: str) -> None:
    """Raise Broken with the fault, if there is one."""
    require(not fault, fault)


def require(condition: bool, message: str) -> None:
    """Raise Broken with `message` unless `condition`."""
    if not condition:
        raise Broken(message)


def require_shape(what: str, value: Tensor, expected: Iterable[int]) -> None:
    """Raise Broken unless it is a tensor of that shape."""
    require_none(shape_fault(what, value, expected))


def require_finite(what: str, value: Tensor) -> None:
    """Raise Broken unless all its values are finite."""
    require_none(finite_fault(what, value))


def require_same_alone(what: str, function: Callable[[Tensor], Tensor], inputs: Tensor) -> None:
    """The answer to an image depends on that image alone, not on the others of its batch, and is always the same."""
    require_none(company_fault(what, function, inputs, tolerance=TOLERANCE))
