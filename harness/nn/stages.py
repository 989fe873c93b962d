"""The stages of a trunk, earliest first: what is copied, frozen or looked at layer by layer.

A stage is a run of layers that takes nothing but what the stage before it gives. Its `parts` name the modules and the
parameters of the trunk that hold its weights, BatchNorm's statistics among them; together the stages hold all weights
of the trunk, each once. What has no weights and stands at the end, such as a spatial mean, belongs to none.

B examples, D features, n stages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

MOST = 8  # stages of a backbone; where more are declared, neighbours are joined


@dataclass(frozen=True)
class Stage:
    """One stage of a trunk."""

    name: str  # "convolution 2"
    parts: tuple[str, ...]  # "layer1", "blocks.0", "class_token": as in the trunk's state_dict; "": all of the trunk
    apply: Callable[[Any, Tensor], Tensor] | None = None
    """(trunk, what the stage before gave (B,...); for the first the standardised inputs) -> (B,...).

    None where more than one tensor is handed on, or where it cannot be said: the trunk is then run as a whole, and
    features of frozen stages are computed again in each step.
    """

    def holds(self, name: str) -> bool:
        """Is this the name of a weight or of a module of this stage?"""
        return any(not part or name == part or name.startswith(f"{part}.") for part in self.parts)


def in_sequence(ends: Sequence[int], name: str) -> tuple[Stage, ...]:
    """The stages of an nn.Sequential: `ends` has, for each of them, the place after its last layer.

    >>> [(stage.name, stage.parts) for stage in in_sequence([2, 3], "layer")]
    [('layer 1', ('0', '1')), ('layer 2', ('2',))]
    """
    begins = [0, *ends[:-1]]
    return tuple(
        Stage(f"{name} {order}", tuple(map(str, range(begin, end))), partial(_layers, begin=begin, end=end))
        for order, (begin, end) in enumerate(zip(begins, ends, strict=True), 1)
    )


def _layers(trunk: nn.Sequential, states: Tensor, *, begin: int, end: int) -> Tensor:
    for place in range(begin, end):
        states = trunk[place](states)
    return states


def whole(trunk: Any, inputs: Tensor) -> Tensor:
    """All of a trunk as one stage."""
    return trunk(inputs)


def grouped(stages: Sequence[Stage], most: int = MOST) -> tuple[Stage, ...]:
    """At most `most` stages: neighbours are joined, in groups as equal as can be; the first, the stem, stays alone.

    >>> [stage.name for stage in grouped([Stage(name, (name,)) for name in "abcdef"], 3)]
    ['a', 'b to d', 'e to f']
    """
    if len(stages) <= most:
        return tuple(stages)
    first, rest, groups = stages[0], stages[1:], most - 1
    size, larger = divmod(len(rest), groups)
    ends = [size * group + min(group, larger) for group in range(groups + 1)]
    return (first, *(_joined(rest[begin:end]) for begin, end in pairwise(ends)))


def _joined(stages: Sequence[Stage]) -> Stage:
    if len(stages) == 1:
        return stages[0]
    parts = tuple(part for stage in stages for part in stage.parts)
    known = [stage.apply for stage in stages if stage.apply is not None]
    apply = partial(_one_by_one, applied=known) if len(known) == len(stages) else None
    return Stage(f"{stages[0].name} to {stages[-1].name}", parts, apply)


def _one_by_one(trunk: Any, states: Tensor, *, applied: Sequence[Callable[[Any, Tensor], Tensor]]) -> Tensor:
    for apply in applied:
        states = apply(trunk, states)
    return states


def copy_stages(stages: Sequence[Stage], trunk: nn.Module, into: nn.Module) -> None:
    """Give `into` the weights and statistics that these stages have in `trunk`, a trunk of the same make."""
    weights = trunk.state_dict()
    copied = {name: value for name, value in weights.items() if any(stage.holds(name) for stage in stages)}
    into.load_state_dict(copied, strict=False)


def freeze_stages(stages: Sequence[Stage], trunk: nn.Module) -> None:
    """No gradient reaches the weights of these stages, and their layers are in eval mode: nothing in them moves.

    `trunk.train()` undoes the second: freeze again after it.
    """
    for name, weight in trunk.named_parameters():
        if any(stage.holds(name) for stage in stages):
            weight.requires_grad_(False)
    for name, module in trunk.named_modules():
        if any(stage.holds(name) for stage in stages):
            module.eval()
