"""How far a feature is from those of training, and how well that tells what is in from what is out of distribution.

All scores rise with novelty. N training examples, Q queries, D features, K classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.metrics.features import normalised
from harness.metrics.votes import nearest_by_cosine


def kth_distance(queries: Tensor, bank: Tensor, k: int) -> Tensor:
    """The Euclidean distance on the unit sphere of each query (Q,D) from its k-th nearest of the bank (N,D): (Q,).

    Source: Sun et al. 2022, arXiv:2204.06507, section 3.
    """
    cosines, _ = nearest_by_cosine(normalised(queries), normalised(bank), min(k, len(bank)))
    return (2 - 2 * cosines[:, -1].double()).clamp_min(0).sqrt()


@dataclass(frozen=True, kw_only=True)
class Gaussians:
    """One Gaussian for each class with a covariance that they share, and one for all training features."""

    means: Tensor  # (K,D)
    precision: Tensor  # (D,D)
    mean: Tensor  # (D,)
    background: Tensor  # (D,D) its precision
    shrinkage: float  # in [0,1], of both covariances

    def distance(self, queries: Tensor) -> Tensor:
        """Squared Mahalanobis distance (Q,) of queries (Q,D) from the nearest class. Lee et al. 2018,
        arXiv:1807.03888, equation 2.
        """
        found = torch.full((len(queries),), torch.inf, dtype=torch.float64, device=queries.device)
        for mean in self.means:
            found = torch.minimum(found, _squared(queries - mean, self.precision))
        return found

    def background_distance(self, queries: Tensor) -> Tensor:
        """The same from all of training taken as one class: (Q,)."""
        return _squared(queries - self.mean, self.background)

    def relative_distance(self, queries: Tensor) -> Tensor:
        """The first minus the second: (Q,). Ren et al. 2021, arXiv:2106.09022, equation 3."""
        return self.distance(queries) - self.background_distance(queries)


def _squared(offsets: Tensor, precision: Tensor) -> Tensor:
    return ((offsets @ precision) * offsets).sum(1)


def gaussians_of(features: Tensor, labels: Tensor) -> Gaussians:
    """Fitted to features (N,D) float64 with labels (N,); the covariance within classes is shrunk by Ledoit and Wolf's
    rule, the total one by as much: with more, or less, it could be the smaller of the two along directions in which
    training hardly varies, and what lies far along them would count as less novel than what lies near.
    """
    shown, label = labels.unique(return_inverse=True)
    sums = features.new_zeros(len(shown), features.shape[1]).index_add_(0, label, features)
    means = sums / label.bincount(minlength=len(shown))[:, None]
    within, shrinkage = shrunk_covariance(features - means[label])
    total, _ = shrunk_covariance(features - features.mean(0), shrinkage)
    return Gaussians(
        means=means,
        precision=torch.linalg.inv(within),
        mean=features.mean(0),
        background=torch.linalg.inv(total),
        shrinkage=shrinkage,
    )


def shrunk_covariance(centred: Tensor, shrinkage: float | None = None) -> tuple[Tensor, float]:
    """(1 - a) S + a (tr S / D) I of centred features (N,D), and a in [0,1]: what is given, or Ledoit and Wolf's.

    Source: Ledoit and Wolf 2004, doi:10.1016/S0047-259X(03)00096-4, lemma 3.4 with equations 8 to 13: a = min(b2, d2) /
    d2 with d2 = |S - m I|^2 and b2 the sampling error of S. On the device of the features, which scikit-learn's is not.
    Where all features are 0, the identity.
    """
    n, dim = centred.shape
    covariance = centred.T @ centred / n
    level = covariance.trace() / dim
    if float(level) <= 0:
        return torch.eye(dim, dtype=centred.dtype, device=centred.device), 1.0
    spread = covariance.square().sum() - dim * level**2  # d2 D
    error = (centred.square().sum(1).square().sum() / n - covariance.square().sum()) / n  # b2 D
    alpha = float((torch.minimum(error, spread) / spread).clamp(0, 1)) if float(spread) > 0 else 1.0
    alpha = alpha if shrinkage is None else shrinkage
    shrunk = (1 - alpha) * covariance
    shrunk.diagonal().add_(alpha * level)
    return shrunk, alpha


def told_apart(inside: Tensor, outside: Tensor) -> Tensor:
    """For each score (N,) of what is inside, the share of the outside ones (Q,) above it, ties by half: (N,) float64.

    Their mean is the area under the ROC curve (Mann and Whitney). CPU tensors.

    >>> told_apart(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 3.0]))
    tensor([1.0000, 0.7500], dtype=torch.float64)
    """
    ordered = outside.sort().values.contiguous()
    below = torch.searchsorted(ordered, inside, right=False)
    upto = torch.searchsorted(ordered, inside, right=True)
    return 1 - (below + upto).double() / (2 * len(outside))


def false_alarms_at(inside: Tensor, outside: Tensor, kept: float = 0.95) -> float:
    """The share of the outside ones (Q,) that pass for inside, where at least `kept` of the inside ones (N,) pass.

    What passes has a score of at most a threshold: the smallest that lets so many of the inside pass. Inside is the
    positive class, so this is the false positive rate at a true positive rate of 95 %.

    >>> false_alarms_at(torch.arange(20.0), torch.tensor([5.0, 18.0, 18.5, 30.0]))
    0.5
    """
    place = max(1, math.ceil(kept * len(inside) - 1e-9)) - 1
    threshold = inside.sort().values[place]
    return float((outside <= threshold).double().mean())
