"""Does a classifier know how sure it may be? Temperature scaling, and how confidence compares with accuracy.

Confidence is the largest probability. N examples, K classes, M bins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

COOLEST, HOTTEST = 0.05, 20.0  # temperatures between which one is sought
HALVINGS = 60
DRAWS = 200  # of labels, for the floor
AT_ONCE = 2**22  # numbers drawn at once


def temperature_of(logits: Tensor, labels: Tensor) -> float:
    """The T in [0.05, 20] whose softmax(logits / T) of (N,K) has the smallest negative log likelihood of labels (N,).

    The likelihood is concave in 1 / T, so that the zero of its derivative, mean_i (E_p z - z_y), is found by halving
    log(1 / T). A class without any probability may have minus infinity. Source: Guo et al. 2017, arXiv:1706.04599,
    section 4.2. Own: torchmetrics has no such thing.

    >>> round(temperature_of(torch.tensor([[4.0, 0.0]] * 4), torch.tensor([0, 0, 0, 1])), 3)  # 4 / log 3
    3.641
    """
    values = logits.double()
    finite = values.masked_fill(values.isinf(), 0.0)  # 0 times its probability of 0
    own = values.gather(1, labels[:, None]).squeeze(1)  # (N,)
    known = own.isfinite()  # what is called impossible stays so at every temperature
    if not known.any():
        return 1.0

    def slope(inverse: float) -> float:
        shares = torch.softmax(values[known] * inverse, 1)
        return float(((shares * finite[known]).sum(1) - own[known]).mean())

    low, high = (torch.tensor([1 / HOTTEST, 1 / COOLEST], dtype=torch.float64)).log().tolist()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(float(torch.tensor(middle).exp())) > 0 else (middle, high)
    return float(torch.tensor(-(low + high) / 2, dtype=torch.float64).exp())


def squared_errors(probabilities: Tensor, labels: Tensor) -> Tensor:
    """sum_k (p_k - [k = label])^2 of each example: (N,K) -> (N,) float64 in [0,2]; its mean is the Brier score.

    Source: Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2, equation 2.

    >>> squared_errors(torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([0, 1]))
    tensor([0.5000, 2.0000], dtype=torch.float64)
    """
    answers = torch.zeros_like(probabilities, dtype=torch.float64).scatter_(1, labels[:, None], 1.0)
    return (probabilities.double() - answers).square().sum(1)


@dataclass(frozen=True, kw_only=True)
class Bins:
    """Examples grouped by confidence."""

    count: Tensor  # (M,)
    confidence: Tensor  # (M,) mean of each bin, NaN of an empty one
    accuracy: Tensor  # (M,)

    @property
    def error(self) -> float:
        """Mean |accuracy - confidence| over bins, weighted by their size: the expected calibration error."""
        gaps = (self.accuracy - self.confidence).abs().nan_to_num(0.0)
        return float((gaps * self.count).sum() / self.count.sum())


def equal_width(confidence: Tensor, bins: int) -> Tensor:
    """The bin of each confidence (N,) in [0,1]: bin m holds (m/M, (m+1)/M]."""
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)[1:-1]
    return torch.bucketize(confidence, edges)


def equal_mass(confidence: Tensor, bins: int) -> Tensor:
    """The bin of each confidence (N,), so that all bins hold as many examples, to one: those in the order of their
    confidence, ties in the order of the examples. Source: Nguyen and O'Connor 2015, arXiv:1508.05154, section 3.2.
    """
    places = torch.empty_like(confidence, dtype=torch.int64)
    places[confidence.argsort(stable=True)] = torch.arange(len(confidence)) * bins // max(1, len(confidence))
    return places


def binned(probabilities: Tensor, labels: Tensor, bins: int, rule: Callable[[Tensor, int], Tensor]) -> Bins:
    """Accuracy and mean confidence by bins of the confidence, for probabilities (N,K) and labels (N,).

    >>> binned(torch.tensor([[0.75, 0.25], [0.75, 0.25]]), torch.tensor([0, 1]), 15, equal_width).error
    0.25
    """
    confidence, predicted = probabilities.double().max(1)
    place = rule(confidence, bins)
    count = torch.bincount(place, minlength=bins).double()

    def mean(values: Tensor) -> Tensor:
        return torch.zeros(bins, dtype=torch.float64).index_add_(0, place, values) / count

    return Bins(count=count, confidence=mean(confidence), accuracy=mean((predicted == labels).double()))


def floor_of_error(probabilities: Tensor, bins: int, generator: torch.Generator) -> float:
    """The calibration error that a perfect classifier of these probabilities (N,K) would show on so few examples.

    With N finite the error is above 0 even where every confidence is right: the mean over draws of who is right, each
    with the chance that its confidence says (consistency resampling, Broecker and Smith 2007,
    doi:10.1175/WAF993.1). Over equal-width bins.
    """
    confidence = probabilities.double().max(1).values  # (N,)
    n = len(confidence)
    place = equal_width(confidence, bins)
    at_once = max(1, min(DRAWS, AT_ONCE // n))
    errors, left = 0.0, DRAWS
    while left > 0:
        draws = min(at_once, left)
        gaps = (torch.rand(draws, n, dtype=torch.float64, generator=generator) < confidence).double() - confidence
        sums = torch.zeros(draws, bins, dtype=torch.float64).index_add_(1, place, gaps)
        errors += float(sums.abs().sum()) / n
        left -= draws
    return errors / DRAWS
