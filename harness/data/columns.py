"""Columns: one value for each row of a dataset, in memory, as strings that wait for a tokenizer, or in files.

N rows, n of them taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from harness.data.stream import streamed

CPU = torch.device("cpu")
BLOCK = 512  # rows that are read at once where a column is walked from end to end


@runtime_checkable
class Column(Protocol):
    """One value for each of N rows."""

    @property
    def in_memory(self) -> bool:
        """Does `take` only copy memory?"""
        ...

    @property
    def device(self) -> torch.device:
        """Where the values of `blocks` and `batches_of` are."""
        ...

    def __len__(self) -> int: ...

    def rows(self, index: Tensor) -> Column:
        """The rows (n,) as a column; reads nothing."""
        ...

    def take(self, index: Tensor) -> Tensor:
        """The values of the rows (n,): (n,...), as they are kept; on the CPU, unless the column is in memory."""
        ...

    def to(self, device: str | torch.device) -> Column:
        """The column with its values on a device; what is in files gets there once it is decoded."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Values (N,...) in one tensor: uint8 pixels or int64 tokens."""

    values: Tensor

    in_memory = True

    @property
    def device(self) -> torch.device:
        return self.values.device

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, index: Tensor) -> InMemory:
        return InMemory(self.values.index_select(0, index))

    def take(self, index: Tensor) -> Tensor:
        return self.values.index_select(0, index)

    def to(self, device: str | torch.device) -> InMemory:
        return InMemory(self.values.to(device))


@dataclass(frozen=True)
class Texts:
    """N strings. They have no values until a TextField reads them: a target's words need the source's tokenizer."""

    strings: tuple[str, ...]

    in_memory = True
    device = CPU

    def __len__(self) -> int:
        return len(self.strings)

    def rows(self, index: Tensor) -> Texts:
        return Texts(tuple(self.strings[row] for row in index.tolist()))

    def take(self, index: Tensor) -> Tensor:
        raise TypeError("texts have no values before a TextField reads them: use its read()")

    def to(self, device: str | torch.device) -> Texts:
        return self


@dataclass(frozen=True)
class Files:
    """N values that are decoded when they are taken, for data that does not fit into memory.

    decode: some paths -> their values (n,...); it decides alone what a file looks like, so that the numbers are those
    of the same files decoded into memory. It runs in worker processes as well, and must be picklable where they are
    not forked.
    """

    paths: tuple[Path, ...]
    decode: Callable[[Sequence[Path]], Tensor]
    device: torch.device = CPU

    in_memory = False

    def __len__(self) -> int:
        return len(self.paths)

    def rows(self, index: Tensor) -> Files:
        return replace(self, paths=tuple(self.paths[row] for row in index.tolist()))

    def take(self, index: Tensor) -> Tensor:
        return self.decode([self.paths[row] for row in index.tolist()])

    def to(self, device: str | torch.device) -> Files:
        return replace(self, device=torch.device(device))


@dataclass(frozen=True)
class Converted:
    """The values of another column, changed when they are taken: images in another size, frames of a clip."""

    column: Column
    change: Callable[[Tensor], Tensor]  # values (n,...) -> (n,...); each by itself, whatever comes with it

    in_memory = False

    @property
    def device(self) -> torch.device:
        return self.column.device

    def __len__(self) -> int:
        return len(self.column)

    def rows(self, index: Tensor) -> Converted:
        return replace(self, column=self.column.rows(index))

    def take(self, index: Tensor) -> Tensor:
        return self.change(self.column.take(index))

    def to(self, device: str | torch.device) -> Converted:
        return replace(self, column=self.column.to(device))


@dataclass(frozen=True)
class Chained:
    """The rows of several columns of different sorts, one after the other."""

    columns: tuple[Column, ...]  # what is in memory is on the CPU
    index: Tensor  # int64 (N,): rows of the chain
    device: torch.device = CPU

    in_memory = False

    def __len__(self) -> int:
        return len(self.index)

    def rows(self, index: Tensor) -> Chained:
        return replace(self, index=self.index[index.cpu()])

    def take(self, index: Tensor) -> Tensor:
        wanted, start, places, parts = self.index[index.cpu()], 0, [], []
        for column in self.columns:
            inside = ((wanted >= start) & (wanted < start + len(column))).nonzero().flatten()
            if len(inside):
                places.append(inside)
                parts.append(column.take(wanted[inside] - start))
            start += len(column)
        return torch.cat(parts)[torch.cat(places).argsort()]

    def to(self, device: str | torch.device) -> Chained:
        return replace(self, device=torch.device(device))


def column_of(values: Tensor | Sequence[str] | Column) -> Column:
    """What a dataset plugin loaded as a column: a tensor is in memory, strings are texts, a column is itself."""
    if isinstance(values, Tensor):
        return InMemory(values)
    if isinstance(values, (InMemory, Texts, Files)):
        return values
    if isinstance(values, Sequence):
        return Texts(tuple(values))
    return values


def all_values(column: Column) -> Tensor:
    """Every value of a column (N,...); where it is in files, all of them are read into memory."""
    if isinstance(column, InMemory):
        return column.values
    if len(column) <= BLOCK:
        return column.take(torch.arange(len(column))).to(column.device)
    return torch.cat(list(blocks(column)))


def blocks(column: Column, size: int = BLOCK) -> Iterator[Tensor]:
    """The values of a column in order, at most `size` rows at a time: (n,...)."""
    if isinstance(column, InMemory):
        yield from column.values.split(size)
        return
    workers = None if len(column) > size else 0
    yield from batches_of(column, torch.arange(len(column)).split(size), workers)


def batches_of(column: Column, batches: Iterable[Tensor], workers: int | None = None) -> Iterator[Tensor]:
    """The values of some batches of rows (n,), in that order: (n,...); decoded ahead if they are not in memory."""
    if column.in_memory:
        yield from (column.take(index) for index in batches)
        return
    for _, (values,) in streamed([column], batches, workers):
        yield values.to(column.device)


def example_shape(column: Column) -> tuple[int, ...]:
    """The shape of one value."""
    values = column.values if isinstance(column, InMemory) else column.take(torch.arange(1))
    return tuple(values.shape[1:])


def concatenated(columns: Sequence[Column]) -> Column:
    """The rows of all columns, one after the other."""
    first = columns[0]
    if len(columns) == 1:
        return first
    if all(isinstance(column, InMemory) for column in columns):
        return InMemory(torch.cat([all_values(column) for column in columns]))
    if isinstance(first, Texts):
        return Texts(tuple(text for column in columns for text in column.strings))  # type: ignore[attr-defined]
    return Chained(tuple(columns), torch.arange(sum(map(len, columns))))
