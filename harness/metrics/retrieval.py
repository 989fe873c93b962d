"""Rankings of a bank for each query, by whether what stands at a rank is of the query's class.

average_precision  (1/R) sum_i P(i) r_i over the whole ranking, r_i whether rank i is relevant, P(i) the share of the
                   first i that are, R how many of the bank are relevant (Manning et al. 2008, section 8.4)
map_at_r           the same sum over the first R ranks alone: it is 1 where all R relevant ones come first, and punishes
                   what stands between them. Musgrave et al. 2020, arXiv:2003.08505, section 3.2, equations 5 and 6
recall@k           is there a relevant one among the first k? Jegou et al. 2011, doi:10.1109/TPAMI.2010.57, and
                   arXiv:2003.08505, section 3.1
A query without anything relevant in the bank scores 0. Q queries, N in the bank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 2**23  # similarities that are held and sorted at a time


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """What each query got, float64 (Q,) on the CPU."""

    average_precision: Tensor
    map_at_r: Tensor
    recall: dict[int, Tensor]  # at each k: 1 or 0
    relevant: Tensor  # R


def retrieve(
    queries: Tensor, wanted: Tensor, bank: Tensor, classes: Tensor, ks: Sequence[int], block: int = BLOCK
) -> Retrieved:
    """Rank the bank (N,D), of `classes` (N,), by inner product with each query (Q,D), of the class `wanted` (Q,).

    A block of queries at a time. Ties go to whichever is first in the bank.
    """
    parts = []
    for some, of in zip(
        queries.split(max(1, block // len(bank))), wanted.split(max(1, block // len(bank))), strict=True
    ):
        order = (some @ bank.T).argsort(dim=1, descending=True, stable=True)
        parts.append(judged(classes[order] == of[:, None], ks))
    return Retrieved(
        average_precision=torch.cat([part.average_precision for part in parts]),
        map_at_r=torch.cat([part.map_at_r for part in parts]),
        recall={k: torch.cat([part.recall[k] for part in parts]) for k in ks},
        relevant=torch.cat([part.relevant for part in parts]),
    )


def judged(hits: Tensor, ks: Sequence[int]) -> Retrieved:
    """Of rankings (Q,N): is rank i relevant?

    >>> judged(torch.tensor([[True, False, True, False]]), [1]).average_precision  # (1/1 + 2/3) / 2
    tensor([0.8333], dtype=torch.float64)
    """
    relevant = hits.sum(1)  # (Q,)
    ranks = torch.arange(1, hits.shape[1] + 1, device=hits.device)
    precision = (hits.cumsum(1) / ranks).masked_fill_(~hits, 0.0)  # (Q,N) float32: P(i) r_i
    within = ranks <= relevant[:, None]
    of = relevant.clamp_min(1).double()
    return Retrieved(
        average_precision=(precision.sum(1, dtype=torch.float64) / of).cpu(),
        map_at_r=((precision * within).sum(1, dtype=torch.float64) / of).cpu(),
        recall={k: hits[:, :k].any(1).double().cpu() for k in ks},
        relevant=relevant.double().cpu(),
    )


def chance_of_average_precision(relevant: Tensor, bank: int) -> Tensor:
    """The expected average precision of a random ranking of N = `bank` with R relevant ones: (Q,) -> (Q,) float64.

    (R - 1) / (N - 1) + H_N (N - R) / (N (N - 1)), since rank i is relevant with R / N, and of those before it
    (R - 1) / (N - 1) each; H_N is the sum of 1/i up to N.

    >>> chance_of_average_precision(torch.tensor([1.0, 2.0]), 2)  # first or second: (1 + 1/2) / 2
    tensor([0.7500, 1.0000], dtype=torch.float64)
    """
    found = relevant.double()
    if bank < 2:
        return found.clamp_max(1)
    harmonic = float((1 / torch.arange(1, bank + 1, dtype=torch.float64)).sum())
    expected = (found - 1) / (bank - 1) + harmonic * (bank - found) / (bank * (bank - 1))
    return expected.where(found > 0, 0.0)


def chance_of_recall(relevant: Tensor, bank: int, k: int) -> Tensor:
    """The probability that k drawn from N = `bank` without replacement hold one of the R relevant: (Q,) -> (Q,).

    >>> chance_of_recall(torch.tensor([1.0]), 4, 2)
    tensor([0.5000], dtype=torch.float64)
    """
    missed = torch.ones_like(relevant, dtype=torch.float64)
    for i in range(min(k, bank)):
        missed *= ((bank - relevant - i) / (bank - i)).clamp_min(0)
    return 1 - missed
