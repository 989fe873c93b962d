"""Losses that couple a batch, by name, for tests in several processes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.nn.contrastive import info_nce, nt_xent
from harness.nn.gathering import gathered
from harness.nn.sinkhorn import sinkhorn


def nt_xent_loss(one: Tensor, other: Tensor) -> Tensor:
    return nt_xent(one, other, 0.5)


def info_nce_loss(one: Tensor, other: Tensor) -> Tensor:
    return info_nce(one, other.detach(), torch.eye(one.shape[1]), 0.5)


def info_nce_of_both(one: Tensor, other: Tensor) -> Tensor:
    return info_nce(one, other, torch.eye(one.shape[1]), 0.5)


def swapped_assignment(one: Tensor, other: Tensor) -> Tensor:
    """Sinkhorn's targets of the local rows, and the loss of the whole batch."""
    targets = gathered(sinkhorn(F.normalize(other, dim=1)))
    return -(targets * gathered(one).log_softmax(1)).sum(1).mean()


def variance(one: Tensor, other: Tensor) -> Tensor:
    return gathered(one).var(0).log().sum() + (gathered(other) - gathered(one)).square().mean()


def without_gradients_of_others(one: Tensor, other: Tensor) -> Tensor:
    """What goes wrong where a gathered embedding keeps no gradient: for the test that the test can fail."""
    from harness.nn.gathering import gathered_apart

    return torch.cat([one, gathered_apart(one)]).var(0).sum()
