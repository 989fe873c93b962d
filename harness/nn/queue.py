"""A queue of embeddings from earlier batches: MoCo's negatives, the support set of NNCLR, more rows for SwAV.

He et al. 2020, arXiv:1911.05722, section 3.1. Q places, P units of an embedding, B examples.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.gathering import gathered_apart


class Queue(nn.Module):
    """The last Q embeddings, in buffers: saved and moved with their owner. It starts with random unit vectors.

    size: Q. dim: P. `values` is (Q,P), without gradients; with several processes all hold the same.
    """

    values: Tensor
    pushed: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("values", F.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))  # embeddings so far

    @torch.no_grad()
    def push(self, embeddings: Tensor) -> None:
        """Replace the oldest by these (B,P), as they are; of more than Q the last Q stay."""
        size = len(self.values)
        latest = gathered_apart(embeddings)[-size:].to(self.values.dtype)
        where = (self.pushed + torch.arange(len(latest), device=self.values.device)) % size  # (B,)
        self.values = self.values.index_copy(0, where, latest)  # a new tensor: the old may be in a graph
        self.pushed = self.pushed + len(latest)
