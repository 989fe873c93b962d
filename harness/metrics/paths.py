"""Images along the straight line between two codes: how even their steps are, and how near they are to the data.

P pairs, S steps, N images, M data points, C channels, H=W pixels, F features.
"""

from __future__ import annotations

from torch import Tensor

from harness.errors import TrainingFailed
from harness.metrics.neighbours import balls_hit

LEAST_MOVE = 1e-4  # root mean squared difference of the two ends of a path, in [0,1], below which they are one image


def step_evenness(paths: Tensor) -> tuple[float, float]:
    """Largest step and length of the paths x_0 ... x_S, images (P,S+1,C,H,W), with Euclidean distances.

    The first is max_s |x_(s+1) - x_s| over their mean, averaged over pairs: from 1, even motion, to S, one jump. The
    second is sum_s |x_(s+1) - x_s| over |x_S - x_0|, both summed over pairs: from 1, a cross-fade. Raises
    TrainingFailed if no path moves.

    >>> import torch
    >>> step_evenness(torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0]).view(1, 5, 1, 1, 1))
    (4.0, 1.0)
    """
    flat = paths.double().flatten(2)  # (P,S+1,CHW)
    steps = (flat[:, 1:] - flat[:, :-1]).norm(dim=2)  # (P,S)
    across = (flat[:, -1] - flat[:, 0]).norm(dim=1)  # (P,)
    moves = across > LEAST_MOVE * flat.shape[2] ** 0.5
    if not moves.any():
        raise TrainingFailed("decode() gives one image for all codes: the decoder ignores its code")
    steps, across = steps[moves], across[moves]
    largest = (steps.amax(1) / steps.mean(1)).mean()
    return float(largest), float(steps.sum() / across.sum())


def share_in_reach(points: Tensor, data: Tensor, squared_radii: Tensor) -> float:
    """The fraction of points (N,F) no farther from some row of data (M,F) than the radius of that row.

    `squared_radii` is (M,). Source: the precision of Kynkäänniemi et al. 2019, arXiv:1904.06991, eq. 1.

    >>> import torch
    >>> share_in_reach(torch.tensor([[0.0], [9.0]]), torch.tensor([[1.0]]), torch.tensor([4.0]))
    0.5
    """
    counts, _, _ = balls_hit(points, data, points.new_zeros(len(points)), squared_radii)
    return float((counts > 0).double().mean())
