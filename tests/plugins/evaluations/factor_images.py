"""A small dataset whose causes are known: one bright square on 8x8 pixels, in one of three columns and three rows."""

from __future__ import annotations

import torch

from harness.data.fields import DataSpec, Factor, ImageField
from harness.data.rows import Dataset, RawData
from harness.data.splits import split_dataset

PLACES = ("first", "second", "third")
SPEC = DataSpec(
    inputs=ImageField(channels=1, size=8),
    factors=(
        Factor(name="column", values=PLACES),
        Factor(name="row", values=PLACES),
        Factor(name="brightness", values=("dim", "bright")),
    ),
    targets=("x in pixels", "y in pixels"),
)


def squares(n: int = 600, *, seed: int = 0) -> Dataset:
    """Squares of 2x2 pixels, 3 pixels apart; targets are the factors' places in pixels."""
    generator = torch.Generator().manual_seed(seed)
    factors = torch.stack([torch.randint(count, (n,), generator=generator) for count in (3, 3, 2)], 1)
    left, top = 3 * factors[:, 0], 3 * factors[:, 1]
    shade = torch.where(factors[:, 2] == 1, 240, 120) + torch.randint(-8, 9, (n,), generator=generator)
    images = torch.zeros(n, 1, 8, 8, dtype=torch.uint8)
    for row in range(n):
        images[row, 0, top[row] : top[row] + 2, left[row] : left[row] + 2] = int(shade[row])
    raw = RawData(inputs=images, factors=factors, targets=torch.stack([left, top], 1).float())
    return split_dataset("squares", raw, SPEC, 0, read_squares)


def read_squares(images: torch.Tensor) -> torch.Tensor:
    """uint8 (N,1,8,8) -> (N,3): the place whose four pixels are brightest, -1 where the rest is not dark."""
    light = images.float()
    total = light.flatten(1).sum(1)
    sums = torch.stack([light[:, 0, y : y + 2, x : x + 2].sum((1, 2)) for y in (0, 3, 6) for x in (0, 3, 6)], 1)
    most, place = sums.max(1)
    found = torch.stack([place % 3, place // 3, (most / 4 > 180).long()], 1)
    return torch.where((most > 0.7 * total)[:, None], found, torch.full_like(found, -1))
