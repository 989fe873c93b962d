"""A method looked at while it trains: nothing of it changes, no draw is used up, and no time of the budget passes.

`harness.trainer.train(..., observe=Observer(...))` tells the observer after every step; at its moments it looks.

N examples, D features.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.answers import features_fault
from harness.clock import Clock
from harness.data.columns import Column, blocks
from harness.data.fields import DataSpec
from harness.errors import TrainingFailed
from harness.metrics.measure import synchronize
from harness.precision import autocast
from harness.reasons import reason_of

BLOCK = 512  # examples encoded at once
Look = Callable[[Clock], None]  # in eval mode, without gradients


class Moments:
    """The start of training, and each of `count` equal parts of its budget when it has passed; 1 is the end.

    >>> moments = Moments(2)
    >>> [moments.due(done) for done in (0.0, 0.4, 0.5, 0.9, 1.0, 1.0)]
    [True, False, True, False, True, False]
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.passed = -1

    def due(self, done: float) -> bool:
        """Has a moment come since this was asked last? Several that came together are one."""
        reached = int(done * self.count + 1e-9)
        if reached <= self.passed:
            return False
        self.passed = reached
        return True

    def state(self) -> list[int]:
        """How many there are, and how many passed: what `restore` takes."""
        return [self.count, self.passed]

    def restore(self, state: list[int]) -> None:
        """Go on where such moments were; where there are more or fewer of them now, the next one comes at once."""
        count, passed = state
        self.passed = passed if count == self.count else -1


class Observer:
    """At the moments of each look, the method is looked at, outside the time of training."""

    def __init__(self, method: nn.Module, device: str, looks: Sequence[tuple[Moments, Look]]) -> None:
        self.method = method
        self.device = torch.device(device)
        self.looks = looks

    def __call__(self, clock: Clock) -> None:
        due = [look for moments, look in self.looks if moments.due(clock.done)]
        if not due:
            return
        synchronize(self.device)  # what the steps so far take is their own time
        with clock.paused(), undisturbed(self.method, self.device):
            for look in due:
                look(clock)


@contextmanager
def undisturbed(method: nn.Module, device: torch.device) -> Iterator[None]:
    """In eval mode without gradients; then modes, buffers and global generators are again what they were."""
    modes = [(module, module.training) for module in method.modules()]
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module in method.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    devices = [] if device.type == "cpu" else [device]
    others = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices, device_type=device.type if devices else "cuda"), torch.no_grad():
            method.eval()
            yield
    finally:
        random.setstate(others[0])
        np.random.set_state(others[1])
        for module, mode in modes:
            module.training = mode
        for module, name, buffer, value in buffers:
            module._buffers[name] = buffer
            if not torch.equal(buffer, value):
                buffer.copy_(value)


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """What `encode` of a method gives, as evaluations will get it."""

    method: Any
    data: DataSpec
    device: str
    precision: str

    def features(self, inputs: Column) -> Tensor:
        """The representation of inputs as they are kept, N of them: float32 (N,D), on the device.

        Raises TrainingFailed where `encode` fails, or gives no vector for each example.
        """
        device = torch.device(self.device)
        with autocast(device, self.precision):
            return torch.cat([self._encoded(part.to(device)) for part in blocks(inputs, BLOCK)])

    def _encoded(self, part: Tensor) -> Tensor:
        try:
            features = self.method.encode(self.data.inputs.ready(part))
        except Exception as error:
            raise TrainingFailed(f"encode() failed: {reason_of(error)}") from error
        fault = features_fault("encode()", features, len(part))
        if fault:
            raise TrainingFailed(fault)
        return features.float()
