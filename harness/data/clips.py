"""Clips: those of one dataset in the frames, the size and the channels of another.

N clips, T frames, C channels, H=W pixels.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from harness.data.columns import Column, Converted, InMemory, blocks
from harness.data.images import converted

CONVERTED = 64  # clips that are converted at once


def resized(column: Column, frames: int, channels: int, size: int) -> Column:
    """uint8 clips (N,T,C,H,W) with other frames, channels and size, so that another encoder can read them.

    Frames are taken at even distances, the first and the last one among them, and repeated where there are too few.
    What is not in memory is converted when it is taken.
    """
    change = partial(changed, frames=frames, channels=channels, size=size)
    if not column.in_memory:
        return Converted(column, change)
    return InMemory(torch.cat([change(part) for part in blocks(column, CONVERTED)]))


def changed(clips: Tensor, frames: int, channels: int, size: int) -> Tensor:
    """uint8 (N,T,C,H,W) as uint8 (N,`frames`,`channels`,`size`,`size`), as `resized` does it."""
    chosen = clips.index_select(1, even_frames(clips.shape[1], frames))
    return converted(chosen.flatten(0, 1), channels, size).unflatten(0, (len(clips), frames))


def even_frames(frames: int, wanted: int) -> Tensor:
    """`wanted` of `frames` indices at even distances: int64 (wanted,).

    >>> even_frames(8, 4).tolist(), even_frames(2, 4).tolist()
    ([0, 2, 5, 7], [0, 0, 1, 1])
    """
    return torch.linspace(0, frames - 1, wanted, dtype=torch.float64).round().long()
