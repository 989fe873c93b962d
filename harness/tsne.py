"""A map of a few hundred points in two dimensions: exact t-SNE (van der Maaten & Hinton 2008, JMLR 9:2579-2605).

For looking at, not for scoring: scikit-learn's takes 3 s for 500 points and 1.5 s to import, which every cell would
pay. Starts from the first two principal components, as Kobak & Berens 2019 (doi:10.1038/s41467-019-13056-x) advise,
so the result depends on nothing but the points.

N points, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor

EXAGGERATION, EARLY = 12.0, 100  # attraction in the first steps, and how many they are
SEARCH = 40  # halvings of the interval in which a bandwidth is sought
START = 1e-4  # deviation of the first map along its first axis


def tsne(points: Tensor, perplexity: float = 30.0, steps: int = 400) -> Tensor:
    """Points (N,D) -> their map (N,2), centred. The perplexity is at most (N - 1) / 3."""
    n = len(points)
    if n < 4:
        raise ValueError(f"a map needs at least 4 points, got {n}")
    near = affinities(squared_distances(points.double()), min(perplexity, (n - 1) / 3)).float()  # (N,N)
    place = principal_map(points.double()).float()
    velocity, gains = torch.zeros_like(place), torch.ones_like(place)
    rate = max(n / EXAGGERATION / 4, 50.0)  # Belkina et al. 2019, doi:10.1038/s41467-019-13055-y
    for step in range(steps):
        early = step < EARLY
        gradient = map_gradient(place, near * EXAGGERATION if early else near)
        same = (gradient > 0) == (velocity > 0)  # going on downhill would need opposite signs
        gains = torch.where(same, gains * 0.8, gains + 0.2).clamp_min_(0.01)
        velocity = (0.5 if early else 0.8) * velocity - rate * gains * gradient
        place = place + velocity
    return place - place.mean(0)


def squared_distances(points: Tensor) -> Tensor:
    """(N,D) -> (N,N), zero on the diagonal."""
    sizes = points.square().sum(1)
    return (sizes[:, None] + sizes - 2 * points @ points.T).clamp_min(0).fill_diagonal_(0)


def affinities(distances: Tensor, perplexity: float) -> Tensor:
    """Joint probabilities (N,N) of squared distances (N,N), each row's Gaussian as wide as to have that perplexity."""
    n = len(distances)
    scaled = distances / distances.mean().clamp_min(torch.finfo(distances.dtype).tiny)
    others = scaled.masked_fill(torch.eye(n, dtype=torch.bool), torch.inf)
    others = others - others.amin(1, keepdim=True)  # the nearest at 0: no row underflows
    low, high = scaled.new_full((n, 1), -12.0), scaled.new_full((n, 1), 24.0)  # of the log precision
    target = torch.tensor(perplexity).log()
    for _ in range(SEARCH):
        middle = (low + high) / 2
        shares = torch.softmax(-others * middle.exp(), 1)
        wide = torch.special.entr(shares).sum(1, keepdim=True) > target
        low, high = torch.where(wide, middle, low), torch.where(wide, high, middle)
    return (shares + shares.T) / (2 * n)


def map_gradient(place: Tensor, near: Tensor) -> Tensor:
    """Gradient (N,2) of KL(P || Q) for P = `near` (N,N) and the map (N,2): equation 5 of the paper."""
    kernel = squared_distances(place).add_(1).reciprocal_().fill_diagonal_(0)  # (N,N)
    pull = (near - kernel / kernel.sum()) * kernel
    return 4 * (pull.sum(1, keepdim=True) * place - pull @ place)


def principal_map(points: Tensor) -> Tensor:
    """The first two principal components (N,2), the first with deviation START; signs fixed by the largest entry."""
    centred = points - points.mean(0)
    variances, left = torch.linalg.eigh(centred @ centred.T)
    scores = left[:, [-1, -2]] * variances[[-1, -2]].clamp_min(0).sqrt()  # (N,2)
    largest = scores.gather(0, scores.abs().argmax(0, keepdim=True))
    scores = torch.where(largest < 0, -scores, scores)
    deviation = scores[:, 0].std()
    return scores * (START / deviation) if deviation > 0 else scores
