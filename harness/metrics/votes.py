"""The k nearest neighbours by cosine, and how they vote. Wu et al. 2018, arXiv:1805.01978, section 3.4.

N examples in the bank, Q queries, D features, M neighbours kept, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

QUERIES = 256  # similarities of that many queries with the whole bank are held at a time
GROUPS = 16


def nearest_by_cosine(queries: Tensor, bank: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest cosines (Q,k), in falling order, of normalised queries (Q,D) with a bank (N,D), and their rows."""
    parts = [_largest(block @ bank.T, k) for block in queries.split(QUERIES)]
    values, rows = zip(*parts, strict=True)
    return torch.cat(values), torch.cat(rows)


def _largest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """topk of (Q,N) along N, about twice as fast where N is large.

    The columns form N/16 groups. Every one of the k largest lies in one of the k groups with the largest maxima, so
    those 16 k columns are all that needs sorting; a rest that fills no group is always looked at.
    """
    queries, n = values.shape
    groups = n // GROUPS
    if groups <= 4 * k:
        return values.topk(k, dim=1)
    grouped = values[:, : groups * GROUPS].view(queries, GROUPS, groups)
    best = grouped.amax(1).topk(k, dim=1, sorted=False).indices  # (Q,k)
    columns = best[:, None, :] + groups * torch.arange(GROUPS, device=values.device)[:, None]  # (Q,16,k)
    rest = torch.arange(groups * GROUPS, n, device=values.device).expand(queries, -1)
    columns = torch.cat([columns.flatten(1), rest], 1)
    largest, place = values.gather(1, columns).topk(k, dim=1)
    return largest, columns.gather(1, place)


def votes(cosines: Tensor, labels: Tensor, classes: int, ks: Sequence[int], temperature: float) -> Iterator[Tensor]:
    """For each of the rising `ks`, the share of the weighted vote that each class gets: (Q,K), rows sum to 1.

    `cosines` and `labels` (Q,M) are of the neighbours, the nearest first.
    """
    weights = ((cosines - cosines[:, :1]) / temperature).exp()  # the nearest has weight 1: shares do not change
    tally, start = cosines.new_zeros(len(cosines), classes), 0
    for k in ks:
        tally = tally.scatter_add(1, labels[:, start:k], weights[:, start:k])
        start = k
        yield tally / tally.sum(1, keepdim=True)
