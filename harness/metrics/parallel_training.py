"""Small networks for many learning rates and weight decays at once: one tensor program trains all of them.

The parameters of R networks lie in tensors (R,...); a step computes all losses together and AdamW (Loshchilov & Hutter
2019, arXiv:1711.05101, algorithm 2) moves each network by a rate and a decay of its own; rates fall to 0 along a
cosine. What is kept is the network and the step with the lowest loss on validation: the other networks cost little
beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Parameters = Mapping[str, Tensor]  # of R networks, each tensor (R,...)
BETAS, EPSILON = (0.9, 0.999), 1e-8


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The network that validation chose."""

    parameters: dict[str, Tensor]  # each (1,...): a batch of one
    network: int  # which of the R
    step: int  # after which it was chosen; 0: before the first
    loss: float  # on validation, there


def train_and_choose(
    parameters: Parameters,
    losses: Callable[[Parameters, Tensor], Tensor],
    judged: Callable[[Parameters], Tensor],
    batches: Sequence[Tensor],
    *,
    weights: Collection[str],
    rates: Sequence[float],
    decays: Sequence[float],
    looks: int = 20,
) -> Chosen:
    """Train R networks on `batches` (rows of each step) and keep the best one at the best of about `looks` moments.

    losses: of all networks for the rows of one batch, (R,), differentiable. judged: on validation, (R,).
    weights: the names of what decays; biases do not.
    """
    device = next(iter(parameters.values())).device
    rate, decay = (torch.tensor(list(values), device=device) for values in (rates, decays))  # (R,)
    moving = {name: value.detach().clone().requires_grad_(True) for name, value in parameters.items()}
    means = {name: torch.zeros_like(value) for name, value in parameters.items()}
    squares = {name: torch.zeros_like(value) for name, value in parameters.items()}
    every = max(1, len(batches) // looks)
    best = _best_of(moving, judged, None, 0)
    for step, rows in enumerate(batches, 1):
        losses(moving, rows).sum().backward()
        falling = 0.5 * (1 + math.cos(math.pi * (step - 1) / len(batches)))
        with torch.no_grad():
            for name, value in moving.items():
                assert value.grad is not None
                mean, square = means[name].lerp_(value.grad, 1 - BETAS[0]), squares[name]
                square.mul_(BETAS[1]).addcmul_(value.grad, value.grad, value=1 - BETAS[1])
                size = (square / (1 - BETAS[1] ** step)).sqrt_().add_(EPSILON)
                own = (falling * rate).view(-1, *[1] * (value.ndim - 1))
                if name in weights:
                    value.mul_(1 - own * decay.view_as(own))
                value.sub_(own * (mean / (1 - BETAS[0] ** step)) / size)
                value.grad = None
        if step % every == 0 or step == len(batches):
            best = _best_of(moving, judged, best, step)
    return best


def _best_of(
    parameters: Parameters, judged: Callable[[Parameters], Tensor], before: Chosen | None, step: int
) -> Chosen:
    """The best network of now, if it is better than the one before; a loss that is not finite never is."""
    with torch.no_grad():
        losses = judged(parameters).nan_to_num(nan=math.inf)
    network = int(losses.argmin())
    if before is not None and not float(losses[network]) < before.loss:
        return before
    kept = {name: value[network : network + 1].detach().clone() for name, value in parameters.items()}
    return Chosen(parameters=kept, network=network, step=step, loss=float(losses[network]))


def uniform(shape: Sequence[int], fan_in: int, networks: int, generator: torch.Generator) -> Tensor:
    """A tensor (R,...), the same for all R networks: uniform in +- 1 / sqrt(fan_in), as torch's Linear begins."""
    limit = 1 / math.sqrt(fan_in)
    drawn = (2 * torch.rand(*shape, generator=generator) - 1) * limit
    return drawn.expand(networks, *shape).clone()


def drawn_batches(n: int, size: int, steps: int, generator: torch.Generator) -> list[Tensor]:
    """Rows for each step: epochs of all n rows in a new order each, of `size` rows, or of all where there are fewer."""
    size = min(size, n)
    epochs = -(-steps * size // n)
    order = torch.cat([torch.randperm(n, generator=generator) for _ in range(epochs)])
    return list(order[: steps * size].split(size))
