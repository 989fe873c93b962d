"""The whole batch of a training on several processes, for losses that couple the examples of a batch.

Every process computes the loss of the WHOLE batch, from the gathered embeddings of all. Its gradient flows back to the
process that each embedding came from, summed over the processes; the mean over processes that distributed training
takes of the gradients (torch's DistributedDataParallel) is then that of one process with the whole batch. Losses that
instead let no gradient through, or divide by the number of processes as well, are off by that factor.

A cell of a bench is one process, where these are the identity. W processes, B examples on each, D features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def processes() -> int:
    """W: how many processes train together; 1 where torch.distributed was not started."""
    on = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if on else 1


def rank() -> int:
    """The number of this process among them; 0 where it is alone."""
    return torch.distributed.get_rank() if processes() > 1 else 0


def gathered(values: Tensor) -> Tensor:
    """Those of all processes in the order of their ranks, with gradients: (B,...) -> (W*B,...).

    All processes must have as many examples. Inputs may have any shape and type of floats.
    """
    return values if processes() == 1 else _Gathered.apply(values)


def gathered_apart(values: Tensor) -> Tensor:
    """The same without gradients, for targets and queues: (B,...) -> (W*B,...)."""
    if processes() == 1:
        return values.detach()
    parts = [torch.empty_like(values) for _ in range(processes())]
    torch.distributed.all_gather(parts, values.detach().contiguous())
    return torch.cat(parts)


class _Gathered(torch.autograd.Function):
    """Forward: everybody's values. Backward: the gradients of everybody's loss by one's own values, summed."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:  # type: ignore[override]
        context.examples = len(values)
        return gathered_apart(values)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        total = gradient.contiguous().clone()  # (W*B,...)
        torch.distributed.all_reduce(total)
        own = rank() * context.examples
        return total[own : own + context.examples]
