"""One trainer for every method: the budget, the schedule, the optimiser's turns and the training curve.

A method has `loss(batch)`, or `turns(batch)` where several networks learn in turn, or `fit(images)`, or nothing.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from math import ceil, cos, isfinite, pi
from typing import Any

import torch
from torch import Tensor, nn

from harness.answers import finite_fault, loss_fault
from harness.data.batches import Batch, Batches
from harness.data.fields import PLURALS, DataSpec
from harness.data.rows import Rows
from harness.errors import TrainingFailed
from harness.plugin.capabilities import capabilities_of
from harness.precision import autocast
from harness.records import Budget, CurvePoint, TrainConfig, TrainingResult
from harness.seeding import derived_generator, seed_everything
from harness.unsaved import plain_state, unsaved_note

POINTS = 100  # of a training curve
Progress = Callable[[float, dict[str, float]], None]  # (fraction done, latest means)


def train(
    method: Any,
    split: Rows,
    data: DataSpec,
    config: TrainConfig,
    budget: Budget,
    *,
    seed: int,
    precision: str,
    progress: Progress,
) -> TrainingResult:
    """Train `method` on `split` (on the method's device already) until the budget is spent."""
    able, counted = capabilities_of(method), PLURALS[data.kind]
    if able & {"loss", "turns"} and budget.amount == 0:
        return TrainingResult(status="ok", counted=counted, parameters=trained_weights(method))
    if able & {"loss", "turns"}:
        return _descend(method, split, data, config, budget, seed=seed, precision=precision, progress=progress)
    started = time.perf_counter()
    if "fit" in able:
        method.fit(split.values if split.inputs.in_memory else split.inputs)
        seconds = time.perf_counter() - started
        return TrainingResult(status="ok", seconds=seconds, examples=len(split), counted=counted)
    return TrainingResult(status="ok", counted=counted)


class Optimisation:
    """The optimisers of a method: one for `loss`, or one for each name that `turns` yields."""

    def __init__(self, method: Any, config: TrainConfig, precision: str) -> None:
        self.method = method
        self.config = config
        self.precision = precision
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.after_step = after_step_of(method)
        self.steps = 0

    def step(self, batch: Batch, rate: float = 1.0) -> Tensor:
        """One step of every optimiser on `batch`, at `rate` times the learning rate; the loss, detached."""
        total = torch.zeros((), device=batch.inputs.device)
        for name, loss in self._losses(batch):
            self._check(name, loss)
            total = total + loss.detach()
            optimiser = self.optimisers.get(name) or self._create(name)
            weights = [weight for group in optimiser.param_groups for weight in group["params"]]
            for group in optimiser.param_groups:
                group["lr"] = self.config.learning_rate * rate
            optimiser.zero_grad()
            loss.backward(inputs=weights if name else None)  # in turns, the others' gradients are left alone
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
        weights = {weight for optimiser in self.optimisers.values() for weight in optimiser.state}
        return sum(weight.numel() for weight in weights)

    @property
    def note(self) -> str:
        """Which trainable weights never got a gradient, in one line; "" where all did."""
        moved = {weight for optimiser in self.optimisers.values() for weight in optimiser.state}
        trainable = [(name, weight) for name, weight in self.method.named_parameters() if weight.requires_grad]
        names = [name for name, weight in trainable if weight not in moved]
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
        """AdamW for the part of the method called `name` ("": all of it); weight decay spares biases and norms."""
        try:
            part = self.method.get_submodule(name)
        except AttributeError:
            raise TrainingFailed(f"turns() yielded '{name}', but the method has no part of that name") from None
        weights = [weight for weight in part.parameters() if weight.requires_grad]
        if not weights:
            raise TrainingFailed("the method has a loss but no weights to train")
        groups = [
            {"params": [w for w in weights if w.ndim >= 2], "weight_decay": self.config.weight_decay},
            {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
        ]
        fused = weights[0].device.type in ("cpu", "cuda")
        optimiser = torch.optim.AdamW(
            [g for g in groups if g["params"]],
            lr=self.config.learning_rate,
            betas=(self.config.beta1, self.config.beta2),
            fused=fused,
        )
        self.optimisers[name] = optimiser
        return optimiser


def after_step_of(method: Any) -> Callable[[float], None]:
    """The method's `after_step(progress)`, its older form `after_step()`, or nothing to do, to be called alike."""
    after_step = getattr(method, "after_step", None)
    if after_step is None:
        return lambda progress: None
    if inspect.signature(after_step).parameters:
        return after_step
    return lambda progress: after_step()


class Clock:
    """How much of a budget is spent."""

    def __init__(self, budget: Budget, batch_size: int, steps_per_epoch: int) -> None:
        unit_steps = {"epochs": steps_per_epoch, "steps": 1, "examples": 1 / batch_size}
        self.seconds_limit = budget.amount if budget.unit == "seconds" else None
        self.steps_limit = None if self.seconds_limit else max(1, ceil(budget.amount * unit_steps[budget.unit] - 1e-9))
        self.started = time.perf_counter()
        self.steps = 0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    @property
    def done(self) -> float:
        """Fraction of the budget, in [0,1]."""
        if self.seconds_limit:
            return min(1.0, self.seconds / self.seconds_limit)
        return self.steps / (self.steps_limit or 1)


def rate_at(done: float, warmup: float, schedule: str = "cosine") -> float:
    """The factor on the learning rate: a linear warm-up, then half a cosine down to 0, or 1 to the end (constant).

    >>> [round(rate_at(done, 0.1), 3) for done in (0.0, 0.05, 0.1, 0.55, 1.0)]
    [0.01, 0.505, 1.0, 0.5, 0.0]
    """
    if done < warmup:
        return 0.01 + 0.99 * done / warmup
    if schedule == "constant":
        return 1.0
    return 0.5 * (1 + cos(pi * (done - warmup) / (1 - warmup)))


def _descend(
    method: Any,
    split: Rows,
    data: DataSpec,
    config: TrainConfig,
    budget: Budget,
    *,
    seed: int,
    precision: str,
    progress: Progress,
) -> TrainingResult:
    batches = Batches(split, data, config.batch_size, derived_generator(seed, "order"))
    optimisation = Optimisation(method, config, precision)
    seed_everything(seed, "augmentation")
    method.train()
    before = plain_state(method)
    clock = Clock(budget, batches.batch_size, len(batches))
    curve = _Curve(clock, batches, progress)
    with closing(iter(batches)) as stream:
        while (done := clock.done) < 1:
            batch = replace(next(stream), progress=done)
            loss = optimisation.step(batch, rate_at(done, config.warmup, config.schedule))
            clock.steps += 1
            curve.add(loss, batch.scalars)
    curve.flush()
    return TrainingResult(
        status="ok",
        seconds=clock.seconds,
        steps=clock.steps,
        examples=clock.steps * batches.batch_size,
        counted=PLURALS[data.kind],
        parameters=optimisation.stepped,
        note="; ".join(filter(None, (optimisation.note, unsaved_note(before, plain_state(method))))),
        loss=curve.points[-1].scalars["loss"],
        curve=tuple(curve.points),
    )


def trained_weights(method: nn.Module) -> int:
    """How many weights may be trained, whether or not a loss reaches them."""
    return sum(weight.numel() for weight in method.parameters() if weight.requires_grad)


class _Curve:
    """Means between points, summed on the device: a step waits for no number, a point reads them all at once."""

    def __init__(self, clock: Clock, batches: Batches, progress: Progress) -> None:
        self.clock = clock
        self.batches = batches
        self.progress = progress
        self.points: list[CurvePoint] = []
        self.sums: dict[str, Tensor] = {}
        self.steps = 0

    def add(self, loss: Tensor, scalars: dict[str, Tensor]) -> None:
        for name, value in [("loss", loss), *scalars.items()]:
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()
        self.steps += 1
        if self.clock.done * POINTS >= len(self.points) + 1:
            self.flush()

    def flush(self) -> None:
        if not self.steps:
            return
        names = list(self.sums)
        means = (torch.stack([self.sums[name].float() for name in names]) / self.steps).tolist()
        scalars = dict(zip(names, means, strict=True))
        examples = self.clock.steps * self.batches.batch_size
        if not all(isfinite(value) for value in means):
            bad = next(name for name, value in scalars.items() if not isfinite(value))
            raise TrainingFailed(
                f"diverged: {bad} is not a finite number after {examples} examples; lower train.learning_rate"
            )
        self.points.append(CurvePoint(examples=examples, seconds=self.clock.seconds, scalars=scalars))
        news = {"epoch": self.clock.steps / len(self.batches), "examples_per_second": examples / self.clock.seconds}
        self.progress(self.clock.done, scalars | news)
        self.sums, self.steps = {}, 0
