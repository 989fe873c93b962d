"""Image datasets in memory: one uint8 tensor per split.

N images, C channels, H=W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.records import ImageSpec, Information, SplitName
from harness.seeding import derived_generator


@dataclass(frozen=True, kw_only=True)
class RawImages:
    """What a dataset plugin loads. Without an official test set (`test` None) Harness holds one out.

    Of each image, by row, where the dataset's ImageSpec says so: a label, a caption, a counterpart, factors, targets.
    """

    images: Tensor  # uint8 (N,C,H,W)
    labels: Tensor | None = None  # int64 (N,)
    captions: Sequence[str] | None = None  # N texts
    counterparts: Tensor | None = None  # uint8 (N,C,H,W): the same scene in another domain
    factors: Tensor | None = None  # int64 (N,F): indices into the values of each factor
    targets: Tensor | None = None  # float32 (N,R): known numbers, for regression
    test: RawImages | None = None
    unseen: RawImages | None = None  # combinations of factors that neither training nor test shows
    unlabelled: Tensor | None = None  # uint8 (M,C,H,W): more images, to learn from without labels


@dataclass(frozen=True, kw_only=True)
class ImageSplit:
    """Images (N,C,H,W) as uint8, and what is known of each, by row; None where the dataset has no such thing."""

    images: Tensor
    labels: Tensor | None = None  # int64 (N,)
    captions: Tensor | None = None  # int64 (N,L): tokens, see harness.data.captions
    counterparts: Tensor | None = None  # uint8 (N,C,H,W)
    factors: Tensor | None = None  # int64 (N,F)
    targets: Tensor | None = None  # float32 (N,R)

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: str | torch.device) -> ImageSplit:
        return self._each(lambda values: values.to(device))

    def rows(self, index: Tensor) -> ImageSplit:
        """The rows that `index` (n,) names, of everything."""
        return self._each(lambda values: values.index_select(0, index))

    def _each(self, function: Callable[[Tensor], Tensor]) -> ImageSplit:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return ImageSplit(**{name: function(value) for name, value in values.items() if value is not None})


@dataclass(frozen=True, kw_only=True)
class ImageDataset:
    """A dataset as methods and evaluations see it: three splits and, for some, more images without labels."""

    name: str
    spec: ImageSpec
    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit
    unlabelled: ImageSplit | None = None
    unseen: ImageSplit | None = None  # combinations of factors that no other split shows
    read_factors: Callable[[Tensor], Tensor] | None = None  # uint8 (N,C,H,W) -> int64 (N,F), -1 where unreadable
    note: str = ""  # what was done to the images, e.g. "resized from 28x28x1 to 8x8x1"

    def split(self, name: SplitName) -> ImageSplit:
        return getattr(self, name)

    def pretraining(self, uses: Collection[Information]) -> ImageSplit:
        """What a method that uses this beside the images learns from: nothing else of the rows is in it.

        A method that uses nothing but images learns from those of the training split and all unlabelled ones.
        """
        if not uses:
            more = [self.unlabelled.images] if self.unlabelled is not None else []
            return ImageSplit(images=torch.cat([self.train.images, *more]) if more else self.train.images)
        known: dict[str, Tensor | None] = {name: getattr(self.train, name) for name in uses if name != "unpaired"}
        if "unpaired" in uses and self.train.counterparts is not None:
            order = torch.randperm(len(self.train), generator=derived_generator(0, "unpaired", self.name))
            known["counterparts"] = self.train.counterparts[order]
        return ImageSplit(images=self.train.images, **known)


def joined(parts: Sequence[ImageSplit]) -> ImageSplit:
    """The rows of all parts, one after the other; what the first one lacks is None."""
    names = [field.name for field in fields(ImageSplit) if getattr(parts[0], field.name) is not None]
    return ImageSplit(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


def to_float(images: Tensor) -> Tensor:
    """uint8 (N,C,H,W) -> float32 in [0,1]."""
    return images.to(torch.float32).div_(255.0)


def to_uint8(images: Tensor) -> Tensor:
    """float (N,C,H,W) in [0,1], clamped -> uint8, rounded."""
    return images.clamp(0, 1).mul(255.0).round_().to(torch.uint8)


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of uint8 images (N,C,H,W), in [0,1]. A flat channel has std 1."""
    levels = torch.arange(256, dtype=torch.float64) / 255.0
    mean, std = [], []
    for channel in images.unbind(1):
        counts = torch.bincount(channel.reshape(-1).cpu(), minlength=256).double()
        share = counts / counts.sum()
        centre = float((share * levels).sum())
        spread = float((share * (levels - centre) ** 2).sum()) ** 0.5
        mean.append(centre)
        std.append(spread if spread > 1e-6 else 1.0)
    return tuple(mean), tuple(std)


def matched(dataset: ImageDataset, spec: ImageSpec) -> ImageDataset:
    """`dataset` with the size and the channels of `spec`, so that an encoder of that source can read it.

    Images are resized bilinearly with antialiasing. Grey becomes three equal channels; colour becomes its luma
    (ITU-R BT.601, as torchvision and PIL do). What was done is said in the `note`.
    """
    old = dataset.spec
    if (old.channels, old.size) == (spec.channels, spec.size):
        return dataset

    def convert(split: ImageSplit) -> ImageSplit:
        parts = [converted(part, spec.channels, spec.size) for part in split.images.split(1024)]
        return replace(split, images=torch.cat(parts), counterparts=None)

    note = f"resized from {old.size}x{old.size}x{old.channels} to {spec.size}x{spec.size}x{spec.channels}"
    return replace(
        dataset,
        spec=replace(old, channels=spec.channels, size=spec.size, mean=(), std=(), counterpart=""),
        train=convert(dataset.train),
        validation=convert(dataset.validation),
        test=convert(dataset.test),
        unlabelled=None,
        unseen=None,
        read_factors=None,
        note=note,
    )


def converted(images: Tensor, channels: int, size: int) -> Tensor:
    """uint8 (N,C,H,W) as uint8 (N,`channels`,`size`,`size`), as `matched` does it."""
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
