"""Pixels: from bytes to floats and back, statistics of channels, other sizes and channels.

N images, C channels, H=W pixels, T frames of a clip.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.data.columns import Column, Converted, InMemory, blocks

CONVERTED = 1024  # images that are resized at once


def to_float(images: Tensor) -> Tensor:
    """uint8 (N,...) -> float32 in [0,1]."""
    return images.to(torch.float32).div_(255.0)


def to_uint8(images: Tensor) -> Tensor:
    """float (N,...) in [0,1], clamped -> uint8, rounded."""
    return images.clamp(0, 1).mul(255.0).round_().to(torch.uint8)


def channels_last(inputs: Tensor) -> Tensor:
    """The same values with the channels innermost in memory, as convolutions are fastest: (B,C,H,W) or (B,T,C,H,W).

    A clip's frames (B*T,C,H,W), and the clip as Conv3d takes it (B,C,T,H,W), are then views of it in torch's
    channels_last and channels_last_3d. Anything else, such as tokens (B,L), stays as it is.
    """
    if inputs.ndim == 4:
        return inputs.contiguous(memory_format=torch.channels_last)
    if inputs.ndim == 5:
        return inputs.movedim(2, -1).contiguous().movedim(-1, 2)
    return inputs


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of uint8 images (N,C,H,W) or clips (N,T,C,H,W), in [0,1].

    A flat channel has std 1.
    """
    return _statistics([images])


def column_statistics(column: Column) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """`channel_statistics` of a column, block by block where it is not in memory: the same numbers."""
    return _statistics([column.values] if isinstance(column, InMemory) else blocks(column))


def _statistics(parts: Iterable[Tensor]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """From counts of the 256 levels, which are exact however the images are cut into parts."""
    counts: Tensor | None = None  # (C,256)
    for part in parts:
        found = [torch.bincount(channel.reshape(-1).cpu(), minlength=256) for channel in part.unbind(-3)]
        counts = torch.stack(found) if counts is None else counts + torch.stack(found)
    assert counts is not None, "no images to measure"
    levels = torch.arange(256, dtype=torch.float64) / 255.0
    mean, std = [], []
    for channel in counts.double():
        share = channel / channel.sum()
        centre = float((share * levels).sum())
        spread = float((share * (levels - centre) ** 2).sum()) ** 0.5
        mean.append(centre)
        std.append(spread if spread > 1e-6 else 1.0)
    return tuple(mean), tuple(std)


def check(column: Column, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless the column is uint8 with values of that shape; of files, one is looked at."""
    first = column.values if isinstance(column, InMemory) else column.take(torch.arange(1))
    if first.dtype != torch.uint8 or tuple(first.shape[1:]) != shape:
        found = f"{first.dtype} {(len(column), *first.shape[1:])}"
        raise ValueError(f"{found}, expected torch.uint8 (N, {str(shape)[1:]}")


def resized(column: Column, channels: int, size: int) -> Column:
    """uint8 images (N,C,H,W) in another size and with other channels, so that another encoder can read them.

    Images are resized bilinearly with antialiasing. Grey becomes three equal channels; colour becomes its luma
    (ITU-R BT.601, as torchvision and PIL do). What is not in memory is converted when it is taken.
    """
    if not column.in_memory:
        return Converted(column, partial(converted, channels=channels, size=size))
    return InMemory(torch.cat([converted(part, channels, size) for part in blocks(column, CONVERTED)]))


def converted(images: Tensor, channels: int, size: int) -> Tensor:
    """uint8 (N,C,H,W) as uint8 (N,`channels`,`size`,`size`), as `resized` does it."""
    values = images.float()
    if values.shape[1] == 3 and channels == 1:
        luma = values.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        values = (values * luma).sum(1, keepdim=True)
    elif values.shape[1] == 1 and channels == 3:
        values = values.expand(-1, 3, -1, -1)
    elif values.shape[1] != channels:
        raise ValueError(f"cannot turn {values.shape[1]} channels into {channels}")
    if values.shape[-1] != size:
        values = F.interpolate(values, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    return values.clamp(0, 255).round().to(torch.uint8)
