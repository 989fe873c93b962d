"""The minibatch standard deviation, within classes: it gives a generator away that draws each class in one way only.

Karras et al. 2018, arXiv:1710.10196, section 3; the idea is the minibatch discrimination of Salimans et al. 2016,
arXiv:1606.03498, section 3.2.
B images, F hidden units, K classes.
Differs from the papers: the standard deviation is within each class, so that a generator cannot hide behind what
classes differ in, and each hidden unit's stands for itself instead of one mean of all, so that many colours do not make
up for a single place.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST = 1e-4  # added to a variance: the root's slope at 0 is infinite


class MinibatchStandardDeviation(nn.Module):
    """u.s(y): a logit from the standard deviations s(y), which a batch's images of class y share."""

    def __init__(self, hidden: int, classes: int) -> None:
        super().__init__()
        self.classes = classes  # K
        self.logit = nn.Linear(hidden, 1, bias=False)  # u

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Features (B,F) of images and their labels (B,) -> what to add to each image's logit, (B,)."""
        return self.logit(deviations(features, labels, self.classes)).squeeze(1)[labels]


def deviations(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """(B,F), (B,) -> (K,F): the root of 1e-4 and each unit's variance (over n) within each class of the batch."""
    member = F.one_hot(labels, classes).to(features.dtype)  # (B,K)
    share = member / member.sum(0).clamp(min=1)  # (B,K), each column sums to 1
    mean = share.T @ features  # (K,F)
    return torch.sqrt(share.T @ (features - mean[labels]).square() + SMALLEST)
