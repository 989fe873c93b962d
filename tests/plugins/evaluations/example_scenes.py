"""A dataset that knows everything of its images: one bright quadrant in one of three colours, 8x8x3."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.data.fields import DataSpec, Factor, ImageField, TextField
from harness.data.rows import Dataset, RawData
from harness.data.splits import split_dataset

COLOURS = ("red", "green", "blue")
CORNERS = ("top left", "top right", "bottom left", "bottom right")
SHADES = ("dim", "bright")
FACTORS = (
    Factor(name="colour", values=COLOURS),
    Factor(name="corner", values=CORNERS),
    Factor(name="shade", values=SHADES, in_caption=False),
)
HELD_OUT = (2, 3)  # a blue bottom right is never trained on
SPEC = DataSpec(
    inputs=ImageField(channels=3, size=8),
    classes=COLOURS,
    paired_domain="silhouette",
    factors=FACTORS,
    captions=TextField(),
)


def drawn(factors: Tensor) -> Tensor:
    """Factors (N,3) -> uint8 (N,3,8,8): black but for one quadrant, in one colour, at level 120 or 240."""
    images = torch.zeros(len(factors), 3, 8, 8, dtype=torch.uint8)
    for image, (colour, corner, shade) in zip(images, factors.tolist(), strict=True):
        top, left = 4 * (corner // 2), 4 * (corner % 2)
        image[colour, top : top + 4, left : left + 4] = 120 * (1 + shade)
    return images


def silhouettes(images: Tensor) -> Tensor:
    """White where something is, without its colour and shade."""
    return (images.amax(1, keepdim=True) > 60).to(torch.uint8).expand(-1, 3, -1, -1) * 255


def read(images: Tensor) -> Tensor:
    """uint8 (N,3,8,8) -> factors (N,3), -1 where no quadrant stands out by its mean of 60 in one channel."""
    means = images.float().unflatten(2, (2, 4)).unflatten(4, (2, 4)).mean((3, 5)).flatten(2)  # (N,3,4)
    level, place = means.flatten(1).max(1)
    factors = torch.stack([place // 4, place % 4, (level > 180).long()], dim=1)
    return torch.where((level > 60)[:, None], factors, -1)


def scenes(n: int = 600, *, seed: int = 0) -> Dataset:
    """n scenes without the held-out combination, cut by seed 0, and all of that combination as `unseen`."""
    generator = torch.Generator().manual_seed(seed)
    factors = torch.stack([torch.randint(len(f.values), (n,), generator=generator) for f in FACTORS], dim=1)
    held_out = (factors[:, 0] == HELD_OUT[0]) & (factors[:, 1] == HELD_OUT[1])
    return split_dataset("scenes", _raw(factors[~held_out], _raw(factors[held_out])), SPEC, 0, read)


def _raw(factors: Tensor, unseen: RawData | None = None) -> RawData:
    images = drawn(factors)
    captions = [f"a {COLOURS[colour]} quadrant, {CORNERS[corner]}" for colour, corner, _ in factors.tolist()]
    return RawData(
        inputs=images,
        labels=factors[:, 0],
        captions=captions,
        paired=silhouettes(images),
        factors=factors,
        unseen=unseen,
    )


class Draughtsman(nn.Module):
    """Draws what a caption or a label asks for; `wrong` says what it makes of the factors instead."""

    def __init__(self, condition: str, wrong=lambda factors: factors, words: TextField | None = None) -> None:
        super().__init__()
        self.condition, self.wrong, self.words = condition, wrong, words

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def sample_as(self, condition: Tensor, generator: torch.Generator) -> Tensor:
        n = len(condition)
        shade = torch.randint(2, (n,), generator=generator)
        if self.condition == "labels":
            colour, corner = condition, torch.randint(3, (n,), generator=generator)  # none held out
        else:
            texts = [self.words.text(tokens) for tokens in condition]
            colour = torch.tensor([next(i for i, word in enumerate(COLOURS) if word in text) for text in texts])
            corner = torch.tensor([next(i for i, word in enumerate(CORNERS) if word in text) for text in texts])
        return drawn(self.wrong(torch.stack([colour, corner, shade], dim=1))).float() / 255
