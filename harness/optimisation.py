"""One optimiser step of a method, or one for each of its networks: what the trainer repeats, and `throughput` times."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from harness.answers import finite_fault, loss_fault
from harness.data.batches import Batch
from harness.errors import TrainingFailed
from harness.optimisers import new_optimiser, rates_of, schedule, set_apart
from harness.precision import autocast
from harness.records import TrainConfig


class Optimisation:
    """The optimisers of a method: one for `loss`, or one for each name that `turns` yields."""

    def __init__(self, method: Any, config: TrainConfig, precision: str) -> None:
        self.method = method
        self.config = config
        self.precision = precision
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.moved: set[Tensor] = set()  # weights that got a gradient
        self.after_step = after_step_of(method)
        self.steps = 0

    def step(self, batch: Batch, rate: float = 1.0) -> Tensor:
        """One step of every optimiser on `batch`, at `rate` times the learning rate; the loss, detached.

        Parts whose rate the method sets itself take that in the place of `rate`.
        """
        parts = rates_of(self.method, batch.progress)
        total = torch.zeros((), device=batch.inputs.device)
        for name, loss in self._losses(batch):
            self._check(name, loss)
            total = total + loss.detach()
            optimiser = self.optimisers.get(name) or self._create(name)
            set_apart(optimiser, self.method, parts)
            schedule(optimiser, self.config, batch.progress, rate, parts)
            weights = [weight for group in optimiser.param_groups for weight in group["params"]]
            for weight in weights:
                weight.grad = None
            loss.backward(inputs=weights if name else None)  # in turns, the others' gradients are left alone
            self.moved.update(weight for weight in weights if weight.grad is not None)
            if self.config.clip_norm:
                nn.utils.clip_grad_norm_(weights, self.config.clip_norm)
            optimiser.step()
        self.steps += 1
        with torch.no_grad():
            self.after_step(batch.progress)
        return total

    def _check(self, name: str, loss: Any) -> None:
        """Raise TrainingFailed unless it is a scalar with a gradient; and a finite one, in the first step.

        Later on it is the training curve that says that a training diverged, so that no step waits for the device.
        """
        fault = loss_fault(name, loss)
        if not fault and self.steps == 0:
            fault = finite_fault(f"the loss {name}".rstrip(), loss)
        if fault:
            raise TrainingFailed(fault)

    @property
    def stepped(self) -> int:
        """How many weights an optimiser moved: those that got a gradient, each counted once."""
        return sum(weight.numel() for weight in self.moved)

    @property
    def note(self) -> str:
        """Which trainable weights never got a gradient, in one line; "" where all did."""
        trainable = [(name, weight) for name, weight in self.method.named_parameters() if weight.requires_grad]
        names = [name for name, weight in trainable if weight not in self.moved]
        if not names or not self.steps:
            return ""
        shown = ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
        return f"{shown} never got a gradient: freeze what is not to be trained, with requires_grad_(False)"

    def _losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        device = batch.inputs.device
        if not hasattr(self.method, "turns"):
            with autocast(device, self.precision):
                loss = self.method.loss(batch)
            yield "", loss
            return
        turns = self.method.turns(batch)
        while True:
            with autocast(device, self.precision):
                turn = next(turns, None)
            if turn is None:
                return
            yield turn

    def _create(self, name: str) -> torch.optim.Optimizer:
        """The optimiser of the part of the method called `name` ("": all of it)."""
        try:
            part = self.method.get_submodule(name)
        except AttributeError:
            raise TrainingFailed(f"turns() yielded '{name}', but the method has no part of that name") from None
        weights = [weight for weight in part.parameters() if weight.requires_grad]
        if not weights:
            raise TrainingFailed("the method has a loss but no weights to train")
        self.optimisers[name] = new_optimiser(weights, self.config)
        return self.optimisers[name]


def after_step_of(method: Any) -> Callable[[float], None]:
    """The method's `after_step(progress)`, its older form `after_step()`, or nothing to do, to be called alike."""
    after_step = getattr(method, "after_step", None)
    if after_step is None:
        return lambda progress: None
    if inspect.signature(after_step).parameters:
        return after_step
    return lambda progress: after_step()
