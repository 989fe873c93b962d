"""What a training step costs, whatever the machine: inputs that a backbone encodes, and floating-point operations.

    views    inputs that the trained backbone encoded, with gradients, per example of the source
    passes   inputs that any backbone of the method encoded, those of slow copies and without gradients included
    FLOPs    of the whole step, forward, backward and what follows it, at 2 per multiply-add (harness.metrics.measure)

An input counts once, whatever its size: a jigsaw tile, a small crop and a masked image are one each, and their FLOPs
say what they cost. Counted on one step while it is taken, by listening alone: no draw, no further forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from harness.metrics.measure import counted_flops
from harness.nn.backbone import Backbone


@dataclass(frozen=True, kw_only=True)
class StepCosts:
    """Of one optimiser step."""

    views: float | None  # per example; None: the method has no backbone
    passes: float | None
    flops: int | None  # of the whole step; None: they cannot be counted


def costs_of(step: Callable[[], Tensor], method: nn.Module, examples: int) -> tuple[Tensor, StepCosts]:
    """What `step` returns, and what it cost; `examples` of the source are in its batch."""
    with encodings(method) as seen:
        loss, flops = counted_flops(step)
    if seen is None:
        return loss, StepCosts(views=None, passes=None, flops=flops)
    return loss, StepCosts(views=seen.learning / examples, passes=seen.all / examples, flops=flops)


@dataclass
class Encodings:
    """Inputs that the backbones of a method have encoded."""

    all: int = 0
    learning: int = 0  # by weights that are trained, with gradients
    inside: set[nn.Module] = field(default_factory=set)  # trunks that are at work

    def count(self, trunk: nn.Module, inputs: int) -> None:
        self.all += inputs
        if torch.is_grad_enabled() and any(weight.requires_grad for weight in trunk.parameters()):
            self.learning += inputs


@contextmanager
def encodings(method: nn.Module) -> Iterator[Encodings | None]:
    """Count inputs while the block runs; None where the method has no backbone."""
    trunks = dict.fromkeys(module.trunk for module in method.modules() if isinstance(module, Backbone))
    if not trunks:
        yield None
        return
    seen = Encodings()
    with ExitStack() as hooks:
        for trunk in trunks:
            for handle in _listening(trunk, seen):
                hooks.callback(handle.remove)
        yield seen


def _listening(trunk: nn.Module, seen: Encodings) -> Iterator[Any]:
    """Hooks on a trunk, and on its first layer, which is all that is called where its maps or tokens are asked for."""

    def entered(module: nn.Module, *given: Any) -> None:
        seen.inside.add(trunk)
        seen.count(trunk, batch_size(*given))

    def left(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        seen.inside.discard(trunk)

    def first_entered(module: nn.Module, *given: Any) -> None:
        if trunk not in seen.inside:
            seen.count(trunk, batch_size(*given))

    yield trunk.register_forward_pre_hook(entered, with_kwargs=True)
    yield trunk.register_forward_hook(left, always_call=True)
    first = first_layer(trunk)
    if first is not trunk:
        yield first.register_forward_pre_hook(first_entered, with_kwargs=True)


def batch_size(inputs: tuple[Any, ...], named: Mapping[str, Any]) -> int:
    """B of the first tensor that a module was called with."""
    tensors = (value for value in (*inputs, *named.values()) if isinstance(value, Tensor) and value.ndim)
    return next((len(tensor) for tensor in tensors), 0)


def first_layer(trunk: nn.Module) -> nn.Module:
    """The first module without parts that holds weights, which a slow copy may hold in buffers; or the trunk itself."""
    leaves = (module for module in trunk.modules() if not any(module.children()))
    return next((leaf for leaf in leaves if any(True for _ in (*leaf.parameters(), *leaf.buffers()))), trunk)
