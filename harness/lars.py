"""LARS: SGD whose steps are, layer by layer, in proportion to the weights. You et al. 2017, arXiv:1708.03888, alg. 1.

    g <- g + decay w                      of matrices and filters (two and more dimensions) alone
    g <- trust ||w|| / ||g|| g            of these alone, and only where neither norm is 0
    v <- momentum v + g,   w <- w - lr v

Differs from the paper, as the published codes of SimCLR, BYOL, Barlow Twins and VICReg do: biases and what normalises
are neither adapted nor decayed; the ratio divides by ||g + decay w||, not by ||g|| + decay ||w||; the learning rate is
applied after the momentum, so that a schedule acts at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rates. All weights of a group are stepped together, not one by one.

    groups: of weights, each with its own `lr` and `weight_decay`; all weights of a group are on one device.
    trust: the ratio of the length of a step of a layer, at learning rate 1, to the length of its weights.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
    ) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step by the gradients that are there; a weight without one stays."""
        assert closure is None, "LARS takes no closure"
        for group in self.param_groups:
            for layers in (True, False):
                weights = [w for w in group["params"] if w.grad is not None and (w.ndim >= 2) == layers]
                if weights:
                    self._step(weights, group, adapted=layers)

    def _step(self, weights: list[Tensor], group: dict[str, Any], *, adapted: bool) -> None:
        steps: Any = [weight.grad for weight in weights]  # torch types its functions of lists for numbers alone
        if adapted:
            steps = torch._foreach_add(steps, weights, alpha=group["weight_decay"])
            steps = torch._foreach_mul(steps, trust_ratios(weights, steps, group["trust"]))
        velocities = [self._velocity(weight) for weight in weights]
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, steps)
        torch._foreach_add_(weights, velocities, alpha=-group["lr"])

    def _velocity(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(weight, memory_format=torch.preserve_format)
        return state["velocity"]


def trust_ratios(weights: list[Tensor], steps: list[Tensor], trust: float) -> list[Tensor]:
    """For each layer trust ||w|| / ||g||, a scalar () on the device; 1 where one of the norms is 0."""
    sizes = torch.stack(torch._foreach_norm(weights))  # (n,)
    lengths = torch.stack(torch._foreach_norm(steps))  # (n,)
    usable = (sizes > 0) & (lengths > 0)
    return list(torch.where(usable, trust * sizes / lengths, 1.0).unbind())
