"""One trainer for every method: the budget, the schedule, the optimiser's turns and the training curve.

A method has `loss(batch)`, or `turns(batch)` where several networks learn in turn, or `fit(images)`, or nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from harness.clock import Clock, rate_at
from harness.compilation import CompiledSteps
from harness.costs import StepCosts, costs_of
from harness.curve import Curve, Progress
from harness.data.batches import Batches
from harness.data.fields import PLURALS, DataSpec
from harness.data.rows import Rows
from harness.errors import TrainingFailed
from harness.optimisation import Optimisation
from harness.plugin.capabilities import capabilities_of
from harness.records import Budget, TrainConfig, TrainingResult
from harness.seeding import derived_generator, seed_everything
from harness.training_state import Course, TrainingState
from harness.unsaved import plain_state, unsaved_note

Observe = Callable[[Clock], None]  # told before the first step, after each and at the end; it may raise TrainingFailed


def train(
    method: Any,
    split: Rows,
    data: DataSpec,
    config: TrainConfig,
    budget: Budget | None,
    *,
    seed: int,
    precision: str,
    progress: Progress,
    observe: Observe = lambda clock: None,
    state: TrainingState | None = None,
) -> TrainingResult:
    """Train `method` on `split` (on the method's device already) until the budget is spent. None: it trains by none.

    `observe` sees the method between steps: whoever gives it leaves the method and all generators as they are, and
    pauses the clock; it ends training by raising TrainingFailed. A TrainingFailed that comes from here says in `so_far`
    what was spent, and the curve up to there. `state` is written under way; with one that was found, training goes on
    from there: raises Unfit, with the method half filled in, where that is of another method.
    """
    able, counted = capabilities_of(method), PLURALS[data.kind]
    untrained = TrainingResult(status="ok", counted=counted, precision=precision)
    if able & {"loss", "turns"}:
        if budget is None:
            raise TrainingFailed(
                f"{type(method).__name__} has a loss once built, and its class has none: define `loss` or `turns` "
                "in the class, since a plan sees no more, and gave it no budget"
            )
        if budget.amount == 0:
            return replace(untrained, parameters=trained_weights(method))
        return _descend(
            method,
            split,
            data,
            config,
            budget,
            seed=seed,
            precision=precision,
            progress=progress,
            observe=observe,
            state=state,
        )
    started = time.perf_counter()
    if "fit" in able:
        method.fit(split.values if split.inputs.in_memory else split.inputs)
        seconds = time.perf_counter() - started
        return replace(untrained, seconds=seconds, examples=len(split))
    note = getattr(method, "note", "")
    if not isinstance(note, str):
        raise TrainingFailed(f"its note is a {type(note).__name__}, expected text")
    return replace(untrained, note=note)


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
    observe: Observe,
    state: TrainingState | None,
) -> TrainingResult:
    batches = Batches(split, data, config.batch_size, derived_generator(seed, "order"))
    optimisation = Optimisation(method, config, precision)
    seed_everything(seed, "augmentation")
    method.train()
    before = plain_state(method)
    clock = Clock(budget, batches.batch_size, len(batches))
    curve = Curve(clock, progress)
    compiled = CompiledSteps(method) if config.compile else None
    costs = StepCosts(views=None, passes=None, flops=None)
    course = Course(
        method=method, optimisation=optimisation, clock=clock, curve=curve, costs=costs, device=split.inputs.device
    )
    begun = state is not None and state.begin(course)
    batches.taken = clock.steps
    try:
        with closing(iter(batches)) as stream:
            if not begun:
                observe(clock)
            while (done := clock.done) < 1:
                batch = replace(next(stream), progress=done)
                step = partial(optimisation.step, batch, rate_at(done, config.warmup, config.schedule))
                if clock.steps:
                    loss = compiled(step) if compiled else step()
                else:
                    loss, course.costs = costs_of(step, method, batches.batch_size)
                    clock.price(course.costs.flops)
                clock.steps += 1
                curve.add(loss, batch.scalars)
                observe(clock)
                if state is not None:
                    state.stepped(course)
            observe(clock)  # time may have run out since
        if state is not None:
            state.ended(course)
        curve.flush()
    except TrainingFailed as error:
        spent = {"seconds": clock.seconds, "steps": clock.steps, "examples": clock.examples}
        error.so_far = {**spent, "counted": PLURALS[data.kind], "curve": tuple(curve.points)}
        raise
    costs = course.costs
    kept = state.note if state is not None else ""
    notes = (compiled.note if compiled else "", optimisation.note, kept, unsaved_note(before, plain_state(method)))
    return TrainingResult(
        status="ok",
        seconds=clock.seconds,
        steps=clock.steps,
        examples=clock.examples,
        counted=PLURALS[data.kind],
        views=costs.views,
        passes=costs.passes,
        flops=None if costs.flops is None else costs.flops * clock.steps,
        parameters=optimisation.stepped,
        note="; ".join(filter(None, notes)),
        precision=precision,
        loss=curve.points[-1].scalars["loss"],
        curve=tuple(curve.points),
    )


def trained_weights(method: nn.Module) -> int:
    """How many weights may be trained, whether or not a loss reaches them."""
    return sum(weight.numel() for weight in method.parameters() if weight.requires_grad)
