"""Vector quantisation with a codebook of moving averages: van den Oord et al. 2017, arXiv:1711.00937, appendix A.1.

N vectors, D features, K codes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DEAD = 0.1  # of the use that every code would have if all were used alike: below that a code is replaced


class Codebook(nn.Module):
    """K codes (K,D): each the mean of the latest vectors that it was nearest to. No gradient reaches them.

    Differs from the paper: codes of little use are replaced by vectors of the batch, and so are all of them at first;
    counts need no Laplace smoothing, since a code that is not replaced has some.
    """

    codes: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, size: int, dim: int, decay: float) -> None:
        super().__init__()
        self.decay = decay  # of older batches, per batch
        self.register_buffer("codes", torch.randn(size, dim))  # (K,D)
        self.register_buffer("counts", torch.zeros(size))  # (K,) vectors per batch
        self.register_buffer("sums", torch.zeros(size, dim))  # (K,D) of those vectors

    def nearest(self, vectors: Tensor) -> Tensor:
        """The index of the nearest code: (N,D) -> (N,) int64."""
        with torch.autocast(vectors.device.type, enabled=False):
            return torch.addmm(self.codes.square().sum(1), vectors.float(), self.codes.T, alpha=-2).argmin(1)

    def forward(self, index: Tensor) -> Tensor:
        """The codes of these indices: (...) -> (...,D)."""
        return F.embedding(index, self.codes)

    @torch.no_grad()
    def update(self, vectors: Tensor, chosen: Tensor) -> None:
        """Move the codes towards the vectors (N,D) that chose them; `chosen` (N,K) is one-hot."""
        with torch.autocast(vectors.device.type, enabled=False):
            self.counts.lerp_(chosen.sum(0), 1 - self.decay)
            self.sums.lerp_(chosen.T @ vectors.float(), 1 - self.decay)
            used = self.counts > 0
            self.codes.copy_(torch.where(used[:, None], self.sums / self.counts.clamp_min(1e-9)[:, None], self.codes))

    @torch.no_grad()
    def revive(self, vectors: Tensor) -> None:
        """Put vectors (N,D) of the batch, drawn from the global generator, in the place of codes of little use.

        They get a little noise, so that no two codes are the same, and time to be found: the count of a code of
        average use.
        """
        vectors = vectors.float()
        size, average = len(self.codes), len(vectors) / len(self.codes)
        drawn = torch.randperm(len(vectors), device=vectors.device).repeat(-(-size // len(vectors)))[:size]
        noise = 0.01 * vectors.std(0) * torch.randn_like(self.codes)
        dead = self.counts < DEAD * average  # (K,)
        self.codes.copy_(torch.where(dead[:, None], vectors[drawn] + noise, self.codes))
        self.counts.masked_fill_(dead, average)
        self.sums.copy_(torch.where(dead[:, None], self.codes * average, self.sums))


def perplexity(use: Tensor) -> Tensor:
    """exp of the entropy of the codes' use (K,), in any scale: how many codes, used alike, would carry as much.

    >>> perplexity(torch.tensor([2.0, 2.0, 0.0]))
    tensor(2.)
    """
    share = use / use.sum()
    return torch.special.entr(share).sum().exp()
