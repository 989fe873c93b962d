"""Scores of a segmentation, from the counts of what pixels are and what they are taken for.

N images, H=W pixels, K regions.
"""

from __future__ import annotations

import torch
from torch import Tensor


def confusion(predicted: Tensor, truth: Tensor, regions: int) -> Tensor:
    """How many pixels of each region (rows) are taken for each (columns): int64 (K,K), of integers of one shape.

    >>> confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    places = truth.flatten().long() * regions + predicted.flatten().long()
    return torch.bincount(places, minlength=regions**2).view(regions, regions)


def intersection_over_union(counts: Tensor) -> Tensor:
    """Of each region, the pixels that are and are called so, over those that are or are called so: float64 (K,).

    NaN for a region that neither is nor is called. Source: Everingham et al. 2010, doi:10.1007/s11263-009-0275-4, 4.

    >>> intersection_over_union(torch.tensor([[1, 1], [0, 1]])).tolist()
    [0.5, 0.5]
    """
    counts = counts.double()
    both = counts.diagonal()
    return both / (counts.sum(0) + counts.sum(1) - both)


def mean_intersection_over_union(counts: Tensor) -> float:
    """The mean of `intersection_over_union` over the regions that occur in the truth or are predicted."""
    return float(intersection_over_union(counts).nanmean())


def against_first(counts: Tensor) -> Tensor:
    """The counts (2,2) of the first region, the background, and all others as one.

    >>> against_first(torch.tensor([[5, 1, 0], [1, 2, 3], [0, 0, 4]])).tolist()
    [[5, 1], [1, 9]]
    """
    rows = torch.stack([counts[0], counts[1:].sum(0)])
    return torch.stack([rows[:, 0], rows[:, 1:].sum(1)], 1)
