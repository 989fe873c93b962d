"""Batches: from memory one index_select on the device, with no per-sample Python; from files, decoded ahead by workers.

B examples; C channels, H=W pixels, T frames, L tokens of one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from harness.data.columns import Column, all_values
from harness.data.fields import DataSpec, Field
from harness.data.images import channels_last
from harness.data.rows import Rows
from harness.data.stream import streamed
from harness.data.tokens import PADDING


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What a method's loss gets. All but the inputs is None unless the method's spec says that it uses it."""

    inputs: Tensor  # float in [0,1], images (B,C,H,W) or clips (B,T,C,H,W), channels last in memory; or tokens (B,L)
    lengths: Tensor | None = None  # int64 (B,): tokens of each text before the padding; None where inputs are no texts
    labels: Tensor | None = None  # (B,) int64
    captions: Tensor | None = None  # (B,L) int64 tokens
    paired: Tensor | None = None  # like the inputs: in another domain, or unpaired
    progress: float = 0.0  # fraction of the training budget spent, in [0,1]: for warm-ups and schedules
    scalars: dict[str, Tensor] = field(default_factory=dict)

    if not TYPE_CHECKING:  # else type checkers would take any name for a field

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(
                f"a batch has no '{name}': its images, clips or texts are `inputs`, and beside them it has "
                f"{', '.join(field.name for field in fields(self) if field.name not in ('inputs', 'scalars'))}"
            )

    def first(self, n: int) -> Batch:
        """A batch of its first n examples."""
        columns = {one.name: getattr(self, one.name) for one in fields(self)}
        some: dict[str, Any] = {name: column[:n] for name, column in columns.items() if isinstance(column, Tensor)}
        return replace(self, **some)

    def log(self, name: str, value: Tensor) -> None:
        """Show `value` (a scalar) in the training curves, beside the loss."""
        self.scalars[name] = value.detach()


class Batches:
    """An endless stream of shuffled batches; every row comes once per epoch, except for the last partial batch.

    The order comes from `generator` alone, so that methods with the same seed see the same rows in the same order,
    whether their columns are in memory or not. What is not in memory is decoded ahead by `workers` processes (None: as
    many as this process has threads), which end with the iterator: close it.
    """

    def __init__(
        self, split: Rows, data: DataSpec, batch_size: int, generator: torch.Generator, workers: int | None = None
    ) -> None:
        self.split = split
        self.data = data
        self.batch_size = min(batch_size, len(split))
        self.generator = generator
        self.workers = workers
        self.taken = 0  # batches that an interrupted training had before: the stream begins after them

    def __len__(self) -> int:
        """Steps in an epoch."""
        return len(self.split) // self.batch_size

    def __iter__(self) -> Generator[Batch, None, None]:
        waiting = self.split.waiting()
        if waiting:
            yield from self._streamed(waiting)
            return
        for index in self._order(self.split.inputs.device):
            yield batch_of(self.split.rows(index), self.data)

    def _order(self, device: torch.device) -> Iterator[Tensor]:
        """The rows (B,) of each batch, epoch after epoch, without end."""
        epochs, first = divmod(self.taken, len(self))
        for _ in range(epochs):
            torch.randperm(len(self.split), generator=self.generator)
        while True:
            order = torch.randperm(len(self.split), generator=self.generator).to(device)
            yield from order.split(self.batch_size)[first : len(self)]
            first = 0

    def _streamed(self, waiting: dict[str, Column]) -> Iterator[Batch]:
        """Batches whose columns that are not in memory come from worker processes, all others from memory."""
        device = self.split.inputs.device
        for index, values in streamed(list(waiting.values()), self._order(torch.device("cpu")), self.workers):
            taken = {name: each.to(device) for name, each in zip(waiting, values, strict=True)}
            yield batch_of(self.split.decoded(index, taken), self.data)


def batch_of(rows: Rows, data: DataSpec) -> Batch:
    """Rows as a method's loss gets them."""
    inputs = _ready(data.inputs, rows.inputs)
    return Batch(
        inputs=inputs,
        lengths=lengths_of(inputs) if data.kind == "text" else None,
        labels=rows.labels,
        captions=None if rows.captions is None else all_values(rows.captions),
        paired=None if rows.paired is None else _ready(data.inputs, rows.paired),
    )


def lengths_of(tokens: Tensor) -> Tensor:
    """How many tokens of each text (B,L) come before the padding: int64 (B,).

    >>> lengths_of(torch.tensor([[5, 7, 0], [0, 0, 0]])).tolist()
    [2, 0]
    """
    return (tokens != PADDING).sum(1)


def _ready(field: Field, column: Column) -> Tensor:
    return channels_last(field.ready(all_values(column)))
