"""How much of a training's budget is spent, and at which rate it learns there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from harness.errors import TrainingFailed
from harness.nn.schedules import cosine, linear
from harness.rates import Steps, parse_schedule
from harness.records import Budget


class Clock:
    """How much of a budget is spent."""

    def __init__(self, budget: Budget, batch_size: int, steps_per_epoch: int) -> None:
        unit_steps = {"epochs": steps_per_epoch, "steps": 1, "examples": 1 / batch_size}
        self.budget = budget
        self.steps_limit: int | None = None  # unknown in seconds, and in FLOPs before the first step
        if budget.unit in unit_steps:
            self.steps_limit = whole_steps(budget.amount * unit_steps[budget.unit])
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.started = time.perf_counter()
        self.stopped: float | None = None  # since when it is paused
        self.steps = 0

    def price(self, flops: int | None) -> None:
        """Say what a step costs, once the first is taken. Raises TrainingFailed if a budget in FLOPs needs to know."""
        if self.budget.unit != "flops":
            return
        if not flops:
            raise TrainingFailed("its FLOPs cannot be counted: give the budget in images, steps or seconds")
        self.steps_limit = whole_steps(self.budget.amount / flops)

    @property
    def examples(self) -> int:
        return self.steps * self.batch_size

    @property
    def epochs(self) -> float:
        return self.steps / self.steps_per_epoch

    @property
    def seconds(self) -> float:
        return (time.perf_counter() if self.stopped is None else self.stopped) - self.started

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done inside is no training: it takes no time of the budget, and none that is reported."""
        self.stopped = time.perf_counter()
        try:
            yield
        finally:
            self.started += time.perf_counter() - self.stopped
            self.stopped = None

    def go_on(self, *, steps: int, limit: int | None, seconds: float) -> None:
        """Be where an interrupted training was: after so many steps and seconds."""
        self.steps, self.steps_limit = steps, limit
        self.started = time.perf_counter() - seconds

    @property
    def done(self) -> float:
        """Fraction of the budget, in [0,1]."""
        if self.budget.unit == "seconds":
            return min(1.0, self.seconds / self.budget.amount)
        return self.steps / self.steps_limit if self.steps_limit else 0.0


def whole_steps(steps: float) -> int:
    """The next whole number of steps, at least one; a rounding error makes none."""
    return max(1, ceil(steps - 1e-9))


def rate_at(done: float, warmup: float, schedule: str = "cosine") -> float:
    """The factor on the learning rate: a linear warm-up, then half a cosine down to 0, or 1 (constant), or steps.

    >>> [round(rate_at(done, 0.1), 3) for done in (0.0, 0.05, 0.1, 0.55, 1.0)]
    [0.01, 0.505, 1.0, 0.5, 0.0]
    >>> [rate_at(done, 0.0, "steps[0.4,0.7;0.5]") for done in (0.0, 0.4, 0.69, 0.7, 1.0)]
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """
    after = parse_schedule(schedule)
    if isinstance(after, Steps):
        factor = after.at(done)
        return factor * linear(0.01, 1.0, done, until=warmup)
    if done < warmup:
        return linear(0.01, 1.0, done, until=warmup)
    if after == "constant":
        return 1.0
    return cosine(1.0, 0.0, (done - warmup) / (1 - warmup))
