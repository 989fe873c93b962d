"""What does not fit in memory, decoded ahead of its use by the worker processes of torch's DataLoader.

Workers decode and resize, nothing else: augmentation stays on whole batches in the process that trains. The order is
that of the index batches which are handed in, and no global generator is touched, so that numbers are those of the
same values in memory. Workers send bytes through pipes: /dev/shm is small in many containers.

n rows of a batch.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import current_process
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from harness.errors import HarnessError, RequestError, TrainingFailed

AHEAD = 2  # batches that each worker has ready or in work
YIELDING = 5  # what is added to a worker's niceness: a cell's neighbours do not pay for its decoding


class Taken(Protocol):
    """What is streamed: a column of harness.data.columns."""

    def take(self, index: Tensor) -> Tensor:
        """The values of the rows (n,): (n,...)."""
        ...


@dataclass(frozen=True)
class Failure:
    """Why a batch could not be decoded, as it travels from a worker."""

    reason: str
    details: str  # the traceback


@dataclass(frozen=True)
class Decoding:
    """Index batches -> values, as DataLoader asks its workers for them: one batch is one item."""

    columns: Sequence[Taken]

    def __getitem__(self, rows: list[int]) -> tuple[list[int], list[np.ndarray] | Failure]:
        index = torch.tensor(rows, dtype=torch.int64)
        try:
            return rows, [column.take(index).numpy() for column in self.columns]
        except HarnessError as error:
            return rows, Failure(str(error), "")
        except Exception as error:  # a decoder may raise what it likes; the process that trains tells it
            return rows, Failure(f"{type(error).__name__}: {error}", traceback.format_exc())


def streamed(
    columns: Sequence[Taken], batches: Iterable[Tensor], workers: int | None = None
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """For each index batch (n,), in their order: the batch, and the values (n,...) of every column, on the CPU.

    `workers` processes decode ahead (None: as many as this process has threads; 0: it decodes by itself, when asked).
    They end with the iterator. Raises RequestError, with the decoder's reason, where values cannot be decoded.
    """
    decoding = Decoding(columns)
    if workers is None:
        workers = torch.get_num_threads()
    if workers == 0 or current_process().daemon:  # daemonic processes may have no children
        for index in batches:
            yield _received(decoding[index.tolist()])
        return
    arriving = _started(decoding, batches, workers)
    try:
        while True:
            try:
                item = next(arriving, None)
            except RuntimeError as error:  # what DataLoader makes of a worker that was killed or crashed
                raise TrainingFailed(f"a process that decodes died: {str(error).splitlines()[0]}") from error
            if item is None:
                return
            yield _received(item)
    finally:
        del arriving  # DataLoader ends its workers with their iterator


def _started(decoding: Decoding, batches: Iterable[Tensor], workers: int) -> Iterator[tuple]:
    from torch.utils.data import DataLoader

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")  # more workers than there are cores
        warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)
        loader: DataLoader = DataLoader(
            decoding,  # type: ignore[arg-type]
            batch_size=None,  # an item is a batch already
            sampler=_Lists(batches),  # type: ignore[arg-type]
            collate_fn=_as_it_is,  # type: ignore[arg-type]
            num_workers=workers,
            prefetch_factor=AHEAD,
            worker_init_fn=partial(_settle, os.getpid()),
            generator=torch.Generator(),  # else DataLoader draws its workers' seed from the global one
            multiprocessing_context="fork" if sys.platform == "linux" else None,  # no accelerator is touched there
        )
        return iter(loader)


class _Lists:
    """Index batches as lists: tensors would travel through shared memory."""

    def __init__(self, batches: Iterable[Tensor]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[list[int]]:
        return (index.tolist() for index in self.batches)


def _as_it_is(item: tuple) -> tuple:
    return item


def _settle(parent: int, worker: int) -> None:
    """A worker gives way to whatever else the cores have to do, and dies with the process that it decodes for."""
    if hasattr(os, "nice"):
        os.nice(YIELDING)
    if sys.platform == "linux":
        torch.multiprocessing._prctl_pr_set_pdeathsig(signal.SIGKILL)  # type: ignore[attr-defined]
        if os.getppid() != parent:  # that was too late
            os._exit(1)


def _received(item: tuple[list[int], list[np.ndarray] | Failure]) -> tuple[Tensor, list[Tensor]]:
    rows, values = item
    if isinstance(values, Failure):
        if values.details:
            print(values.details, file=sys.stderr)  # into the cell's log
        raise RequestError(values.reason)
    return torch.tensor(rows, dtype=torch.int64), [torch.from_numpy(each) for each in values]
