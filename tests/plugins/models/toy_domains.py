"""Domains that are drawn in a moment: rectangles on black, their outlines, and the same at night."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.data.columns import InMemory
from harness.data.fields import DataSpec, ImageField
from harness.data.images import channel_statistics
from harness.data.rows import Rows


def bars(n: int, size: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """n rectangles on black, filled and as outlines: uint8 (n,1,H,W) twice, the same scene in each row."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.arange(size)
    masks = []
    for margin in (0, 1):  # filled, and what is inside of the outline
        generator.manual_seed(seed)
        starts = torch.randint(0, size // 2 - 1, (n, 2, 1), generator=generator)
        ends = torch.randint(size // 2 + 1, size, (n, 2, 1), generator=generator)
        inside = (place >= starts + margin) & (place <= ends - margin)  # (n,2,H)
        masks.append((inside[:, :1, :, None] & inside[:, 1:, None, :]).to(torch.uint8) * 255)  # (n,1,H,W)
    return masks[0], masks[0] - masks[1]


def toy_spec(size: int = 8) -> DataSpec[ImageField]:
    mean, std = channel_statistics(bars(256, size)[0])
    return DataSpec(
        inputs=ImageField(channels=1, size=size, mean=mean, std=std), classes=("a", "b"), paired_domain="outline"
    )


def by_night(images: Tensor) -> Tensor:
    """A third of the light: uint8 (n,1,H,W) -> the same."""
    return images // 3


def paired_outlines(n: int) -> Rows:
    images, outlines = bars(n)
    return Rows(inputs=InMemory(images), paired=InMemory(outlines))


def unpaired_nights(n: int) -> Rows:
    """Rectangles by day, and others by night."""
    return Rows(inputs=InMemory(bars(n)[0]), paired=InMemory(by_night(bars(n, seed=1)[0])))
