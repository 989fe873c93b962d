"""Heads of self-supervised methods: projectors, predictors, prototypes. All of them are left behind after training.

B examples, D features, P units of a projection, K prototypes.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.precision import full_precision


def projector(dim: int, hidden: int, out: int, *, layers: int = 2, last_norm: bool = False) -> nn.Sequential:
    """(B,D) -> (B,P): linear layers with BatchNorm and ReLU between them. Chen et al. 2020, arXiv:2002.05709, app. B.9.

    dim: D. hidden: units of the layers between. out: P. layers: linear ones, at least 1.
    last_norm: BatchNorm without scale and shift at the end, as SimCLR's code and SimSiam have.
    Raises ValueError if there is no layer.
    """
    if layers < 1:
        raise ValueError(f"a projector of {layers} layers: it needs at least 1")
    widths = [dim, *[hidden] * (layers - 1), out]
    parts: list[nn.Module] = []
    for index, (into, wide) in enumerate(pairwise(widths), 1):
        last = index == layers
        parts.append(nn.Linear(into, wide, bias=last and not last_norm))  # a BatchNorm that follows has its own shift
        if not last:
            parts += [nn.BatchNorm1d(wide), nn.ReLU()]
        elif last_norm:
            parts.append(nn.BatchNorm1d(wide, affine=False))
    return nn.Sequential(*parts)


def predictor(dim: int, hidden: int) -> nn.Sequential:
    """(B,P) -> (B,P): one hidden layer, by which one view's projection says the other's. arXiv:2006.07733, section 3.3.

    dim: P. hidden: units of the hidden layer.
    """
    return projector(dim, hidden, dim)


class Prototypes(nn.Module):
    """Cosines of embeddings with K learned directions: (B,P) -> (B,K) in [-1,1], in fp32.

    Caron et al. 2020, arXiv:2006.09882, section 3: the weights are kept at length 1; here they are normalised as they
    are used, so that any optimiser may move them. The last layer of DINO's head is the same (arXiv:2104.14294, app. C).

    dim: P. count: K.
    """

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        self.directions = nn.Parameter(F.normalize(torch.randn(count, dim), dim=1))  # (K,P)

    def forward(self, embeddings: Tensor) -> Tensor:
        with full_precision(embeddings.device):
            return F.normalize(embeddings.float(), dim=1) @ F.normalize(self.directions, dim=1).T  # (B,K)
