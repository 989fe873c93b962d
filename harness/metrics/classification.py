"""Scores of classifiers, all in [0,1] but the likelihood, and the rule by which one is chosen on validation.

N examples, K classes, R candidates.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

LEAST_PROBABILITY = 1e-7  # a label that a classifier calls impossible costs -log of this: 16.1 nats


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Fraction of predictions (N,) that equal the labels (N,), both integers; NaN for none.

    Counted by torchmetrics and divided here: its own ratio is float32. Raises ValueError for different shapes.

    >>> accuracy(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 1, 1, 0]))
    0.75
    """
    right, of = _hits(predicted, labels, "micro")
    return float(right / of)


def balanced_accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Mean over the classes that occur in `labels` of the fraction of each that is predicted right (mean recall).

    Integers (N,) each; NaN for none. Counted by torchmetrics and averaged here: its macro average also counts a class
    that is predicted and never occurs, as a recall of 0. Source: Brodersen et al. 2010, doi:10.1109/ICPR.2010.764.
    Raises ValueError for different shapes.

    >>> balanced_accuracy(torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 0, 1]))
    0.5
    """
    right, of = _hits(predicted, labels, "none")  # (K,) each
    return float((right[of > 0] / of[of > 0]).mean())


def _hits(predicted: Tensor, labels: Tensor, average: Literal["micro", "none"]) -> tuple[Tensor, Tensor]:
    """How many are right, and of how many, of each class (K,) or of all (): float64, which is exact."""
    from torchmetrics.functional.classification import multiclass_stat_scores

    if len(labels) == 0:
        return torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    lowest = torch.minimum(predicted.min(), labels.min())  # not 0 where some are unreadable (-1) or left out (-100)
    predicted, labels = predicted - lowest, labels - lowest
    classes = max(2, 1 + int(torch.maximum(predicted.max(), labels.max())))  # torchmetrics knows no single class
    counts = multiclass_stat_scores(predicted, labels, classes, average=average).double()  # (K,5) or (5,)
    return counts[..., 0], counts[..., 4]


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error of (N,K): mean |accuracy - confidence| over equal-width bins, weighted by their size.

    Confidence is the largest probability, in [0,1]. Source: Guo et al. 2017, arXiv:1706.04599, equation 3, with 15
    bins. Own: torchmetrics computes in float32, and gives a confidence of exactly 1 a bin of its own.

    >>> calibration_error(torch.tensor([[0.75, 0.25], [0.75, 0.25]]), torch.tensor([0, 1]))
    0.25
    """
    confidence, predicted = probabilities.double().max(1)  # (N,)
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=confidence.device)[1:-1]
    place = torch.bucketize(confidence, edges)  # (N,) bin m holds (m/bins, (m+1)/bins]
    gap = (predicted == labels).double() - confidence
    sums = torch.zeros(bins, dtype=torch.float64, device=gap.device).index_add_(0, place, gap)
    return float(sums.abs().sum() / len(labels))


def negative_log_likelihood(probabilities: Tensor, labels: Tensor) -> float:
    """Mean of -log p(label) in nats per example, from probabilities (N,K): see `surprises`.

    Own: torchmetrics' perplexity, of which this is the logarithm, takes logits and knows no least probability, so that
    one label that is called impossible makes it infinite.

    >>> round(negative_log_likelihood(torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([0, 1])), 4)
    8.4056
    """
    return float(surprises(probabilities, labels).mean())


def surprises(probabilities: Tensor, labels: Tensor) -> Tensor:
    """-log p(label) in nats of each example (N,), from probabilities (N,K), none taken to be below 1e-7."""
    likelihood = probabilities.double().gather(1, labels[:, None]).squeeze(1)
    return -likelihood.clamp_min(LEAST_PROBABILITY).log()


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
