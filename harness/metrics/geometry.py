"""In how many directions do features vary, and how far? Without labels.

N examples, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor

RANK_EPSILON = 1e-7


def rankme(features: Tensor) -> float:
    """The effective number of directions in features (N,D), between 1 and min(N,D), up to the epsilon.

    Source: Garrido et al. 2022, arXiv:2210.02885, equations 1 and 2.

    >>> round(rankme(torch.eye(3)), 3)
    3.0
    """
    values = features.double()
    gram = values.T @ values if values.shape[1] <= len(values) else values @ values.T
    singular = torch.linalg.eigvalsh(gram).clamp_min(0).sqrt()
    shares = singular / singular.sum().clamp_min(torch.finfo(singular.dtype).tiny) + RANK_EPSILON
    return float(torch.special.entr(shares).sum().exp())


def effective_dimension(features: Tensor) -> float:
    """(sum l)^2 / sum l^2 of the covariance's eigenvalues l, by its trace and norm; 0 if all rows are equal.

    >>> effective_dimension(torch.tensor([[0.0, 5.0], [1.0, 6.0], [2.0, 7.0]]))
    1.0
    """
    centred = features.double() - features.double().mean(0)
    gram = centred.T @ centred if centred.shape[1] <= len(centred) else centred @ centred.T
    norm = gram.square().sum()
    return float(gram.trace().square() / norm) if norm > 0 else 0.0


def spread(features: Tensor) -> float:
    """Mean over features of the deviation of normalised (N,D), times sqrt(D).

    1 if all directions are used alike, 0 if all examples have one (Chen & He 2021, arXiv:2011.10566, section 4.1).
    """
    return float(features.double().std(0, correction=0).mean() * features.shape[1] ** 0.5)
