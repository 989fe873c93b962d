"""Scores of classifiers, all in [0,1] but the likelihood, and the rule by which one is chosen on validation.

N examples, K classes, R candidates.
"""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_PROBABILITY = 1e-7  # a label that a classifier calls impossible costs -log of this: 16.1 nats


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Fraction of predictions (N,) that equal the labels (N,).

    >>> accuracy(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 1, 1, 0]))
    0.75
    """
    return float((predicted == labels).double().mean())


def balanced_accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Mean over the classes that occur in `labels` of the fraction of each that is predicted right (mean recall).

    >>> balanced_accuracy(torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 0, 1]))
    0.5
    """
    sizes = torch.bincount(labels).double()
    hits = torch.bincount(labels[predicted == labels], minlength=len(sizes)).double()
    return float((hits[sizes > 0] / sizes[sizes > 0]).mean())


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error of (N,K): mean |accuracy - confidence| over equal-width bins, weighted by their size.

    Confidence is the largest probability. Source: Guo et al. 2017, arXiv:1706.04599, equation 3, with 15 bins.
    """
    confidence, predicted = probabilities.double().max(1)  # (N,)
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=confidence.device)[1:-1]
    place = torch.bucketize(confidence, edges)  # (N,) bin m holds (m/bins, (m+1)/bins]
    gap = (predicted == labels).double() - confidence
    sums = torch.zeros(bins, dtype=torch.float64, device=gap.device).index_add_(0, place, gap)
    return float(sums.abs().sum() / len(labels))


def negative_log_likelihood(probabilities: Tensor, labels: Tensor) -> float:
    """Mean of -log p(label) in nats per example, from probabilities (N,K), none taken to be below 1e-7."""
    likelihood = probabilities.double().gather(1, labels[:, None])
    return float(-likelihood.clamp_min(LEAST_PROBABILITY).log().mean())


def majority_share(labels: Tensor) -> float:
    """Share of the most frequent label: the most that always answering with one class can get right.

    >>> majority_share(torch.tensor([0, 2, 2, 2]))
    0.75
    """
    return int(torch.bincount(labels).max()) / len(labels)


def most_accurate(candidates: list[tuple[float, float]]) -> int:
    """The index of the best (accuracy, negative log likelihood): accuracy first, ties by likelihood, then the first.

    >>> most_accurate([(0.8, 0.9), (0.9, 0.7), (0.9, 0.5), (0.9, 0.5)])
    2
    """
    return max(range(len(candidates)), key=lambda i: (candidates[i][0], -candidates[i][1], -i))
