"""What evaluations do to frozen features before they judge them: scale, normalise, draw rows.

N examples, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.metrics.holdout import stratified_holdout

FLAT = 1e-6  # a feature that deviates by less than this share of its own magnitude holds rounding only


@dataclass(frozen=True)
class Scaling:
    """What brings features to mean 0 and deviation 1 of those that it was measured on, see `scaling_of`."""

    mean: Tensor  # (D',)
    deviation: Tensor  # (D',)
    varies: Tensor  # (D,) bool: the D' features that are kept

    def __call__(self, features: Tensor) -> Tensor:
        """(N,D) -> (N,D')."""
        if not len(self.mean):
            return features.new_zeros(len(features), 1)
        return (features[:, self.varies] - self.mean) / self.deviation


def scaling_of(features: Tensor) -> Scaling:
    """The mean and the deviation of features (N,D), without those that are flat: they deviate by less than 1e-6 of
    their largest value. Without any that varies, one column of zeros is left, so that a classifier can still learn the
    class shares.
    """
    mean, deviation = features.mean(0), features.std(0, correction=0)
    varies = deviation > FLAT * features.abs().amax(0)
    return Scaling(mean[varies], deviation[varies], varies)


def standardised(train: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Every set of features (N,D) with mean 0 and deviation 1 of `train`, without the features that are flat there.

    >>> standardised(torch.tensor([[0.0, 5.0], [2.0, 5.0]]), torch.tensor([[4.0, 6.0]]))
    (tensor([[-1.],
            [ 1.]]), tensor([[3.]]))
    """
    scaling = scaling_of(train)
    return tuple(scaling(each) for each in (train, *others))


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
