"""Clips: those of one dataset in the frames, the size and the channels of another.

N clips, T frames, C channels, H=W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.data.columns import Column, InMemory, blocks
from harness.data.images import converted

CONVERTED = 64  # clips that are converted at once


def resized(column: Column, frames: int, channels: int, size: int) -> InMemory:
    """uint8 clips (N,T,C,H,W) with other frames, channels and size, so that another encoder can read them.

    Frames are taken at even distances, the first and the last one among them, and repeated where there are too few.
    """
    parts = []
    for part in blocks(column, CONVERTED):
        chosen = part.index_select(1, even_frames(part.shape[1], frames))  # (n,T,C,H,W)
        parts.append(converted(chosen.flatten(0, 1), channels, size).unflatten(0, (len(part), frames)))
    return InMemory(torch.cat(parts))


def even_frames(frames: int, wanted: int) -> Tensor:
    """`wanted` of `frames` indices at even distances: int64 (wanted,).

    >>> even_frames(8, 4).tolist(), even_frames(2, 4).tolist()
    ([0, 2, 5, 7], [0, 0, 1, 1])
    """
    return torch.linspace(0, frames - 1, wanted, dtype=torch.float64).round().long()
