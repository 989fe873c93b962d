"""One trainer for every method: the budget, the schedule, the optimiser's turns and the training curve.

A method has `loss(batch)`, or `turns(batch)` where several networks learn in turn, or `fit(images)`, or nothing.
"""

from __future__ import annotations

import time
from contextlib import closing, nullcontext
from dataclasses import replace
from typing import Any

from torch import nn

from harness.clock import Clock, rate_at
from harness.compilation import compiling, first_step_compiles
from harness.curve import Curve, Progress
from harness.data.batches import Batches
from harness.data.fields import PLURALS, DataSpec
from harness.data.rows import Rows
from harness.optimisation import Optimisation
from harness.plugin.capabilities import capabilities_of
from harness.records import Budget, TrainConfig, TrainingResult
from harness.seeding import derived_generator, seed_everything
from harness.unsaved import plain_state, unsaved_note


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
    untrained = TrainingResult(status="ok", counted=counted, precision=precision)
    if able & {"loss", "turns"} and budget.amount == 0:
        return replace(untrained, parameters=trained_weights(method))
    if able & {"loss", "turns"}:
        return _descend(method, split, data, config, budget, seed=seed, precision=precision, progress=progress)
    started = time.perf_counter()
    if "fit" in able:
        method.fit(split.values if split.inputs.in_memory else split.inputs)
        seconds = time.perf_counter() - started
        return replace(untrained, seconds=seconds, examples=len(split))
    return untrained


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
    curve = Curve(clock, progress)
    compiled = ""
    with closing(iter(batches)) as stream, compiling(method, config.compile):
        while (done := clock.done) < 1:
            batch = replace(next(stream), progress=done)
            first = config.compile and not clock.steps
            with first_step_compiles() if first else nullcontext():
                loss = optimisation.step(batch, rate_at(done, config.warmup, config.schedule))
            clock.steps += 1
            curve.add(loss, batch.scalars)
            if first:
                compiled = f"compiled: the first step took {clock.seconds:.1f} s"
    curve.flush()
    return TrainingResult(
        status="ok",
        seconds=clock.seconds,
        steps=clock.steps,
        examples=clock.examples,
        counted=PLURALS[data.kind],
        parameters=optimisation.stepped,
        note="; ".join(filter(None, (compiled, optimisation.note, unsaved_note(before, plain_state(method))))),
        precision=precision,
        loss=curve.points[-1].scalars["loss"],
        curve=tuple(curve.points),
    )


def trained_weights(method: nn.Module) -> int:
    """How many weights may be trained, whether or not a loss reaches them."""
    return sum(weight.numel() for weight in method.parameters() if weight.requires_grad)
