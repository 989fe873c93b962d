"""Batches from memory: one index_select on the device, no per-sample Python.

B images, C channels, H=W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.data.images import ImageSplit, to_float


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What a method's loss gets. All but the images is None unless the method's spec says that it uses it."""

    inputs: Tensor  # (B,C,H,W) float in [0,1], on the method's device
    labels: Tensor | None = None  # (B,) int64
    captions: Tensor | None = None  # (B,L) int64 tokens
    counterparts: Tensor | None = None  # (B,C,H,W) in [0,1]: the inputs in another domain, or unpaired
    progress: float = 0.0  # fraction of the training budget spent, in [0,1]: for warm-ups and schedules
    scalars: dict[str, Tensor] = field(default_factory=dict)

    def log(self, name: str, value: Tensor) -> None:
        """Show `value` (a scalar) in the training curves, beside the loss."""
        self.scalars[name] = value.detach()


class Batches:
    """An endless stream of shuffled batches; every image comes once per epoch, except for the last partial batch.

    The order comes from `generator` alone, so that methods with the same seed see the same images in the same order.
    """

    def __init__(self, split: ImageSplit, batch_size: int, generator: torch.Generator) -> None:
        self.split = split
        self.batch_size = min(batch_size, len(split))
        self.generator = generator

    def __len__(self) -> int:
        """Steps in an epoch."""
        return len(self.split) // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        device = self.split.images.device
        while True:
            order = torch.randperm(len(self.split), generator=self.generator).to(device)
            for index in order.split(self.batch_size)[: len(self)]:
                yield batch_of(self.split.rows(index))


def batch_of(rows: ImageSplit) -> Batch:
    """Rows as a method's loss gets them: images as floats, channels last."""
    return Batch(
        inputs=_input(rows.images),
        labels=rows.labels,
        captions=rows.captions,
        counterparts=None if rows.counterparts is None else _input(rows.counterparts),
    )


def _input(images: Tensor) -> Tensor:
    return to_float(images).contiguous(memory_format=torch.channels_last)
