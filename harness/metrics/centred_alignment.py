"""Linear CKA: how alike are two representations of the same examples, whatever their axes and their scale?

CKA(X, Y) = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) of the Gram matrices K = X X', L = Y Y' of features X (N,D), Y
(N,D'). Kornblith et al. 2019, arXiv:1905.00414, section 3. HSIC is estimated without bias (Song et al. 2012, JMLR
13:1393, eq. 5; used for CKA by Nguyen et al. 2021, arXiv:2010.15327, eq. 3), since the plain one is near 1 for any two
representations of more dimensions than examples:

    HSIC = <K~, L~> / (N (N - 3)) of the U-centred matrices (Szekely and Rizzo 2014, arXiv:1310.2926, eq. 3.1)
    K~_ij = K_ij - k_i / (N - 2) - k_j / (N - 2) + k / ((N - 1)(N - 2)),  K~_ii = 0

with k_i the sum of row i and k that of all, both without the diagonal. 1 for equal geometry, about 0 for unrelated
ones, and by chance a little below it. Everything is computed in float64.

N examples, M representations.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

FEWEST = 4  # examples


def gram(features: Tensor) -> Tensor:
    """Inner products (N,N) float64 of the centred features (N,...), whose further dimensions are flattened."""
    values = features.flatten(1)
    values = (values - values.mean(0)).double()
    return values @ values.T


def u_centred(grams: Tensor) -> Tensor:
    """Symmetric (N,N) -> (N,N) float64: every row sums to 0, and the diagonal is 0. ValueError below 4 examples.

    >>> u_centred(torch.eye(4)).abs().sum()
    tensor(0., dtype=torch.float64)
    """
    n = len(grams)
    if n < FEWEST:
        raise ValueError(f"CKA without bias needs {FEWEST} examples, got {n}")
    values = grams.double().clone().fill_diagonal_(0)
    rows = values.sum(1)  # (N,)
    values -= (rows[:, None] + rows) / (n - 2)
    values += rows.sum() / ((n - 1) * (n - 2))
    return values.fill_diagonal_(0)


def linear_cka(grams: Sequence[Tensor]) -> Tensor:
    """CKA of every two of M Gram matrices (N,N) of the same examples: (M,M) float64, 1 on the diagonal.

    NaN for one whose rows are all alike, or whose own HSIC is not positive.

    >>> points = torch.tensor([[0.0], [1.0], [3.0], [7.0], [8.0]])
    >>> linear_cka([gram(points), gram(5 - 2 * points)]).round(decimals=6)
    tensor([[1., 1.],
            [1., 1.]], dtype=torch.float64)
    """
    flat = torch.stack([u_centred(one).flatten() for one in grams])  # (M,N*N)
    products = flat @ flat.T
    own = products.diagonal()
    own = own.where(own > 0, torch.nan).sqrt()
    return (products / own[:, None] / own).clamp(-1, 1)


def isometric(features: Tensor) -> Tensor:
    """Features (N,D) in as few dimensions as hold the centred ones without loss, at most N: the same Gram matrix."""
    values = features.flatten(1)
    values = (values - values.mean(0)).double()
    if values.shape[1] <= len(values):
        return values
    moments, axes = torch.linalg.eigh(values @ values.T)
    turned: Tensor = axes * moments.clamp_min(0).sqrt()
    return turned
