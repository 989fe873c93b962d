"""Columns: one value for each row of a dataset, in memory, as strings that wait for a tokenizer, or in files.

N rows, n of them taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

BLOCK = 512  # rows that are read at once where a column is walked from end to end


class Column(Protocol):
    """One value for each of N rows."""

    @property
    def in_memory(self) -> bool:
        """Does `take` only copy memory?"""
        ...

    def __len__(self) -> int: ...

    def rows(self, index: Tensor) -> Column:
        """The rows (n,) as a column; reads nothing."""
        ...

    def take(self, index: Tensor) -> Tensor:
        """The values of the rows (n,): (n,...), as they are kept."""
        ...

    def to(self, device: str | torch.device) -> Column:
        """The column with its values on a device, if it is in memory."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Values (N,...) in one tensor: uint8 pixels or int64 tokens."""

    values: Tensor

    in_memory = True

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
    of the same files decoded into memory.
    """

    paths: tuple[Path, ...]
    decode: Callable[[Sequence[Path]], Tensor]

    in_memory = False

    def __len__(self) -> int:
        return len(self.paths)

    def rows(self, index: Tensor) -> Files:
        return Files(tuple(self.paths[row] for row in index.tolist()), self.decode)

    def take(self, index: Tensor) -> Tensor:
        return self.decode([self.paths[row] for row in index.tolist()])

    def to(self, device: str | torch.device) -> Files:
        return self


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
    return column.values if isinstance(column, InMemory) else column.take(torch.arange(len(column)))


def blocks(column: Column, size: int = BLOCK) -> Iterator[Tensor]:
    """The values of a column in order, at most `size` rows at a time: (n,...)."""
    if isinstance(column, InMemory):
        yield from column.values.split(size)
        return
    for index in torch.arange(len(column)).split(size):
        yield column.take(index)


def concatenated(columns: Sequence[Column]) -> Column:
    """The rows of all columns of one sort, one after the other."""
    first = columns[0]
    if len(columns) == 1:
        return first
    if isinstance(first, InMemory):
        return InMemory(torch.cat([all_values(column) for column in columns]))
    if isinstance(first, Texts):
        return Texts(tuple(text for column in columns for text in column.strings))  # type: ignore[attr-defined]
    return Files(tuple(path for column in columns for path in column.paths), first.decode)  # type: ignore[attr-defined]
