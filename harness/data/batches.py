"""Batches: from memory one index_select on the device, with no per-sample Python; from files, decoded ahead by workers.

B examples; C channels, H=W pixels, T frames, L tokens of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from harness.data.columns import Column, all_values
from harness.data.fields import DataSpec, Field
from harness.data.images import channels_last
from harness.data.rows import Rows
from harness.data.tokens import PADDING


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What a method's loss gets. All but the inputs is None unless the method's spec says that it uses it."""

    inputs: Tensor  # float in [0,1], images (B,C,H,W) or clips (B,T,C,H,W), channels last in memory; or tokens (B,L)
    lengths: Tensor | None = None  # int64 (B,): tokens of each text before the padding; None where inputs are no texts
    labels: Tensor | None = None  # (B,) int64
    captions: Tensor | None = None  # (B,L) int64 tokens
    counterparts: Tensor | None = None  # like the inputs: in another domain, or unpaired
    progress: float = 0.0  # fraction of the training budget spent, in [0,1]: for warm-ups and schedules
    scalars: dict[str, Tensor] = field(default_factory=dict)

    if not TYPE_CHECKING:  # else type checkers would take any name for a field

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(
                f"a batch has no '{name}': its images, clips or texts are `inputs`, and beside them it has "
                f"{', '.join(field.name for field in fields(self) if field.name not in ('inputs', 'scalars'))}"
            )

    def log(self, name: str, value: Tensor) -> None:
        """Show `value` (a scalar) in the training curves, beside the loss."""
        self.scalars[name] = value.detach()


class Batches:
    """An endless stream of shuffled batches; every row comes once per epoch, except for the last partial batch.

    The order comes from `generator` alone, so that methods with the same seed see the same rows in the same order.
    """

    def __init__(self, split: Rows, data: DataSpec, batch_size: int, generator: torch.Generator) -> None:
        self.split = split
        self.data = data
        self.batch_size = min(batch_size, len(split))
        self.generator = generator

    def __len__(self) -> int:
        """Steps in an epoch."""
        return len(self.split) // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        device = device_of(self.split.inputs)
        while True:
            order = torch.randperm(len(self.split), generator=self.generator).to(device)
            for index in order.split(self.batch_size)[: len(self)]:
                yield batch_of(self.split.rows(index), self.data)


def device_of(column: Column) -> torch.device:
    """Where the values of a column are; the CPU, if they are not in memory."""
    values = getattr(column, "values", None)
    return values.device if isinstance(values, Tensor) else torch.device("cpu")


def batch_of(rows: Rows, data: DataSpec) -> Batch:
    """Rows as a method's loss gets them."""
    inputs = _ready(data.inputs, rows.inputs)
    return Batch(
        inputs=inputs,
        lengths=lengths_of(inputs) if data.kind == "text" else None,
        labels=rows.labels,
        captions=None if rows.captions is None else all_values(rows.captions),
        counterparts=None if rows.counterparts is None else _ready(data.inputs, rows.counterparts),
    )


def lengths_of(tokens: Tensor) -> Tensor:
    """How many tokens of each text (B,L) come before the padding: int64 (B,).

    >>> lengths_of(torch.tensor([[5, 7, 0], [0, 0, 0]])).tolist()
    [2, 0]
    """
    return (tokens != PADDING).sum(1)


def _ready(field: Field, column: Column) -> Tensor:
    return channels_last(field.ready(all_values(column)))
