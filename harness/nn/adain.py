"""Adaptive instance normalisation: style as the mean and the spread of each channel's map.

B images, D channels, h=w positions. Huang and Belongie 2017, arXiv:1703.06868, equations 5, 8 and 13.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-5  # added to variances: channels that are flat stay so


def map_statistics(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over positions: (B,D,h,w) -> (B,D,1,1) twice.

    >>> mean, std = map_statistics(torch.tensor([[[[0.0, 2.0], [4.0, 6.0]]]]))
    >>> round(mean.item(), 3), round(std.item(), 3)
    (3.0, 2.236)
    """
    variance, mean = torch.var_mean(maps, dim=(2, 3), correction=0, keepdim=True)
    return mean, (variance + EPSILON).sqrt()


def adain(content: Tensor, style: Tensor) -> Tensor:
    """std(s) * (c - mean(c)) / std(c) + mean(s), channel by channel: maps (B,D,h,w) twice -> (B,D,h,w)."""
    content_mean, content_std = map_statistics(content)
    style_mean, style_std = map_statistics(style)
    return style_std * (content - content_mean) / content_std + style_mean


def style_code(levels: Sequence[Tensor]) -> Tensor:
    """The means, then the deviations, of every level's channels: maps (B,D_l,h_l,w_l) -> (B, 2 * sum of D_l)."""
    return torch.cat([statistic.flatten(1) for maps in levels for statistic in map_statistics(maps)], 1)


def style_distance(levels: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Mean squared distance of the channels' means and deviations, summed over levels: a scalar."""
    pairs = [(map_statistics(maps), map_statistics(goal)) for maps, goal in zip(levels, wanted, strict=True)]
    return torch.stack([F.mse_loss(a, b) for ours, theirs in pairs for a, b in zip(ours, theirs, strict=True)]).sum()
