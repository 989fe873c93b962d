"""Nearest neighbours by Euclidean distance, a block of rows at a time: never a matrix of all pairs.

Q queries, N points of the bank, F features.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 512  # rows of a distance matrix in memory at once
ROUNDING = 1e-12  # of the largest squared norm: what float64 may move a squared distance by


def squared_distances(queries: Tensor, bank: Tensor) -> Tensor:
    """(Q,F) and (N,F) -> (Q,N) as |q|^2 + |b|^2 - 2 q.b; both should be centred, since rounding grows with |b|^2.

    >>> squared_distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[25.,  1.]])
    """
    norms = queries.square().sum(1, keepdim=True) + bank.square().sum(1)
    return torch.addmm(norms, queries, bank.T, alpha=-2).clamp_min_(0)


def nearest(queries: Tensor, bank: Tensor, skip: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The distance (Q,) float64 of each query (Q,F) from its nearest point of the bank (N,F), and that row (Q,).

    `skip` (Q,) names a row of the bank for each query that does not count: its own. Rows are found by matrix products
    in the precision of the arguments, so of points that are equally near but for rounding any may be named; the
    distance from it is then computed anew from the difference, exactly 0 for a copy. Raises ValueError for an empty
    bank, or where the only point is to be skipped.

    >>> nearest(torch.tensor([[0.0], [9.0]]), torch.tensor([[1.0], [9.0]]))
    (tensor([1., 0.], dtype=torch.float64), tensor([0, 1]))
    """
    if len(bank) < (1 if skip is None else 2):
        raise ValueError("there is no other point in the bank")
    centre = bank.mean(0)
    centred = bank - centre
    size = centred.square().sum(1)  # (N,): the query's own norm moves no minimum
    rows = []
    for start in range(0, len(queries), BLOCK):
        block = torch.addmm(size, queries[start : start + BLOCK] - centre, centred.T, alpha=-2)
        if skip is not None:
            block.scatter_(1, skip[start : start + BLOCK, None], torch.inf)
        rows.append(block.argmin(1))
    found = torch.cat(rows)
    distances = [
        (part.double() - bank[row].double()).norm(dim=1)
        for part, row in zip(torch.split(queries, BLOCK), torch.split(found, BLOCK), strict=True)
    ]
    return torch.cat(distances), found


def squared_radii(points: Tensor, k: int) -> Tensor:
    """The squared distance of each point (N,F) from its k-th nearest other one: (N,). A duplicate is another point.

    Raises ValueError for fewer than k + 1 points.

    >>> squared_radii(torch.tensor([[0.0], [1.0], [3.0]]), k=1)
    tensor([1., 1., 4.])
    """
    if len(points) <= k:
        raise ValueError(f"a {k}-th nearest neighbour needs {k + 1} points, got {len(points)}")
    radii = []
    for start, block in _blocks(points, points):
        own = torch.arange(len(block), device=block.device)
        block[own, start + own] = torch.inf
        radii.append(block.kthvalue(k, dim=1).values)
    return torch.cat(radii)


def _blocks(queries: Tensor, bank: Tensor) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(queries), BLOCK):
        yield start, squared_distances(queries[start : start + BLOCK], bank)


def balls_hit(queries: Tensor, centres: Tensor, query_radii: Tensor, centre_radii: Tensor) -> tuple[Tensor, ...]:
    """Who lies in whose ball, from one pass over all distances. Radii are squared, (Q,) and (N,); balls are closed.

    Returns for each query the number of centres whose ball holds it (Q,), for each centre whether its ball holds a
    query (N,), and for each centre whether it lies in a query's ball (N,). So precision, density, coverage and recall
    are means of these. Source: Naeem et al. 2020, arXiv:2002.09797, equations 1 to 4.

    >>> points, centres = torch.tensor([[0.0], [5.0]]), torch.tensor([[1.0], [7.0]])
    >>> balls_hit(points, centres, torch.tensor([0.0, 4.0]), torch.tensor([1.0, 1.0]))
    (tensor([1, 0]), tensor([ True, False]), tensor([False,  True]))
    """
    slack = ROUNDING * float(torch.maximum(queries.square().sum(1).max(), centres.square().sum(1).max()))
    counts, holds, held = [], torch.zeros(len(centres), dtype=torch.bool), torch.zeros(len(centres), dtype=torch.bool)
    for start, block in _blocks(queries, centres):
        inside = block <= centre_radii + slack  # (q,N)
        counts.append(inside.sum(1))
        holds |= inside.any(0)
        held |= (block <= query_radii[start : start + BLOCK, None] + slack).any(0)
    return torch.cat(counts), holds, held
