"""What evaluations do to frozen features before they judge them: scale, normalise, draw rows.

N examples, D features.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.metrics.holdout import stratified_holdout

FLAT = 1e-6  # a feature that deviates by less than this share of its own magnitude holds rounding only


def standardised(train: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Every set of features (N,D) with mean 0 and deviation 1 of `train`, without the features that are flat there.

    Without any that varies, one column of zeros is left, so that a classifier can still learn the class shares. A
    feature is flat where it deviates by less than 1e-6 of its largest value.

    >>> standardised(torch.tensor([[0.0, 5.0], [2.0, 5.0]]), torch.tensor([[4.0, 6.0]]))
    (tensor([[-1.],
            [ 1.]]), tensor([[3.]]))
    """
    scale = standardiser(train)
    return tuple(scale(each) for each in (train, *others))


def standardiser(train: Tensor) -> Callable[[Tensor], Tensor]:
    """What `standardised` does to features (n,D), by the training features (N,D): for those that come in blocks."""
    mean, deviation = train.mean(0), train.std(0, correction=0)
    varies = deviation > FLAT * train.abs().amax(0)
    if not varies.any():
        return lambda each: each.new_zeros(len(each), 1)
    mean, deviation = mean[varies], deviation[varies]
    return lambda each: (each[:, varies] - mean) / deviation


def normalised(features: Tensor) -> Tensor:
    """Features (N,D) on the unit sphere; an all-zero row stays zero.

    >>> normalised(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    return F.normalize(features, dim=1)


def drawn_rows(n: int, limit: int, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
    """At most `limit` of n rows, drawn by the generator, as sorted indices. With labels every class keeps its share.

    >>> drawn_rows(3, 5, torch.Generator()).tolist()
    [0, 1, 2]
    """
    if n <= limit:
        return torch.arange(n)
    return stratified_holdout(n, labels, limit, generator)[1]
