"""Small data that plugins are checked on: one batch of each kind, the same on every machine."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.data.batches import Batch
from harness.data.columns import InMemory, Texts, all_values
from harness.data.fields import DataSpec, ImageField, TextField
from harness.data.images import to_float
from harness.records import Information
from harness.seeding import derived_generator

IMAGES = 32  # in a check's one batch


@dataclass(frozen=True, kw_only=True)
class SmallImages:
    """One batch of images to check a plugin on."""

    spec: DataSpec[ImageField]
    images: Tensor  # uint8 (N,C,H,W)
    labels: Tensor  # int64 (N,)
    captions: Tensor  # int64 (N,L): the class in words
    counterparts: Tensor  # uint8 (N,C,H,W): the negative

    @property
    def title(self) -> str:
        return self.spec.inputs.title

    @property
    def inputs(self) -> Tensor:
        return to_float(self.images)  # (N,C,H,W) in [0,1]

    def batch(self, uses: Collection[Information]) -> Batch:
        """All images, with what a method may see beside them and nothing else."""
        return Batch(
            inputs=self.inputs,
            labels=self.labels if "labels" in uses else None,
            captions=self.captions if "captions" in uses else None,
            counterparts=to_float(self.counterparts) if {"counterparts", "unpaired"} & set(uses) else None,
        )


def small_datasets() -> list[SmallImages]:
    """Two shapes that every method and backbone is checked on: 8x8 grey with ten classes, 16x16 colour with four."""
    return [generated_images(channels=1, size=8, classes=10), generated_images(channels=3, size=16, classes=4)]


def generated_images(*, channels: int, size: int, classes: int, n: int = IMAGES) -> SmallImages:
    """Smooth seeded patterns, one for each class, moved and with noise: learnable, and the same on every machine."""
    generator = derived_generator(0, "contract images", f"{channels}x{size}x{classes}")
    coarse = torch.rand(classes, channels, size // 2, size // 2, generator=generator)
    patterns = nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")  # (K,C,H,W)
    labels = torch.arange(n) % classes
    noise = 0.1 * torch.randn(n, channels, size, size, generator=generator)
    rows = torch.randint(-1, 2, (n,), generator=generator).tolist()
    moved = torch.stack([patterns[label].roll(row, dims=1) for label, row in zip(labels.tolist(), rows, strict=True)])
    images = (moved + noise).clamp(0, 1).mul(255).round().to(torch.uint8)  # (N,C,H,W)
    captions = Texts(tuple(f"an image of class {label}" for label in labels.tolist()))
    spec = DataSpec(
        inputs=ImageField(channels=channels, size=size).measured(InMemory(images)),
        classes=tuple(f"class {label}" for label in range(classes)),
        captions=(words := TextField().measured(captions)),
        counterpart="negative",
    )
    tokens = all_values(words.read(captions, words)[0])
    return SmallImages(spec=spec, images=images, labels=labels, captions=tokens, counterparts=255 - images)
