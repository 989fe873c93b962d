"""The training curve: means of the loss and of what the method logs, between a hundred points of the budget."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

import torch
from torch import Tensor

from harness.clock import Clock
from harness.errors import TrainingFailed
from harness.records import CurvePoint

POINTS = 100  # of a training curve
Progress = Callable[[float, dict[str, float]], None]  # (fraction done, latest means)


class Curve:
    """Means between points, summed on the device: a step waits for no number, a point reads them all at once."""

    def __init__(self, clock: Clock, progress: Progress) -> None:
        self.clock = clock
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
        examples = self.clock.examples
        if not all(isfinite(value) for value in means):
            bad = next(name for name, value in scalars.items() if not isfinite(value))
            raise TrainingFailed(
                f"diverged: {bad} is not a finite number after {examples} examples; lower train.learning_rate"
            )
        self.points.append(CurvePoint(examples=examples, seconds=self.clock.seconds, scalars=scalars))
        news = {"epoch": self.clock.epochs, "examples_per_second": examples / self.clock.seconds}
        self.progress(self.clock.done, scalars | news)
        self.sums, self.steps = {}, 0
