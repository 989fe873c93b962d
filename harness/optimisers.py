"""The optimiser that a TrainConfig names, and what its groups of weights take: rate and decay at each step.

Weight decay spares biases and what normalises. Parts whose rate a method sets itself have groups of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import TrainingFailed
from harness.lars import LARS
from harness.nn.schedules import cosine
from harness.records import TrainConfig


def new_optimiser(weights: Sequence[Tensor], config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW, SGD or LARS over these weights, those that decay in one group and the others in another."""
    groups = [
        {"params": [w for w in weights if w.ndim >= 2], "weight_decay": config.weight_decay, "decays": True},
        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0, "decays": False},
    ]
    groups = [{**group, "part": ""} for group in groups if group["params"]]
    rate, fused = config.learning_rate, weights[0].device.type in ("cpu", "cuda")
    if config.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=(config.beta1, config.beta2), fused=fused)
    if config.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=config.momentum, fused=fused)
    return LARS(groups, lr=rate, momentum=config.momentum)


def schedule(
    optimiser: torch.optim.Optimizer, config: TrainConfig, done: float, rate: float, parts: Mapping[str, float]
) -> None:
    """Set the learning rate and the weight decay of every group for one step.

    done: the fraction of the budget that is spent. rate: the factor on the learning rate there. parts: for each part
    that has groups of its own (`set_apart`) the factor that stands in its place; one that is not named takes `rate`.
    """
    decay, final = config.weight_decay, config.final_weight_decay
    if final is not None:
        decay = cosine(decay, final, done)  # DINO, arXiv:2104.14294, section 3.2
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * parts.get(group["part"], rate)
        group["weight_decay"] = decay if group["decays"] else 0.0


def set_apart(optimiser: torch.optim.Optimizer, method: nn.Module, parts: Iterable[str]) -> None:
    """Give each part of the method that is named groups of its own, once. Raises TrainingFailed for what is no part."""
    for part in parts:
        if any(group["part"] == part for group in optimiser.param_groups):
            continue
        inside = set(_weights_of(method, part))
        for group in list(optimiser.param_groups):
            moved = [weight for weight in group["params"] if weight in inside]
            if moved and group["part"]:
                raise TrainingFailed(f"rates() named '{group['part']}' and '{part}', which share weights: name one")
            if moved:
                group["params"] = [weight for weight in group["params"] if weight not in inside]
                optimiser.param_groups.append({**group, "params": moved, "part": part})
        optimiser.param_groups[:] = [group for group in optimiser.param_groups if group["params"]]


def _weights_of(method: nn.Module, part: str) -> Iterable[Tensor]:
    try:
        return method.get_submodule(part).parameters()
    except AttributeError:
        raise TrainingFailed(f"rates() named '{part}', but the method has no part of that name") from None


def rates_of(method: Any, progress: float) -> dict[str, float]:
    """What the method's `rates(progress)` says, checked; nothing where it has none."""
    rates = dict(method.rates(progress)) if hasattr(method, "rates") else {}
    for part, rate in rates.items():
        if not (isfinite(rate) and rate >= 0):
            raise TrainingFailed(f"rates() gave {rate:g} for '{part}', expected a factor of 0 or more")
    return rates
