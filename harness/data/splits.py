"""Seeded, stratified splits. The test set is a property of the dataset; the validation set is one of the seed.

An official test set stays the test set. Where there is none, a fifth of the images is held out, the same for every
seed. Of what is left, a tenth (at most 10,000 images) is for validation, drawn anew by each seed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.data.images import ImageDataset, ImageSplit, RawImages, channel_statistics
from harness.errors import RequestError
from harness.records import ImageSpec
from harness.seeding import derived_generator

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
VALIDATION_LIMIT = 10_000


def stratified_holdout(n: int, labels: Tensor | None, held: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Split range(n) into (kept, held out) sorted indices, `held` of them held out, with each label's share kept.

    Of a class of m images, floor or ceil of m * held / n are held out.
    """
    shuffled = torch.randperm(n, generator=generator)
    chosen = torch.zeros(n, dtype=torch.bool)
    if labels is None:
        chosen[shuffled[:held]] = True
    else:
        classes, sizes = labels.unique(return_counts=True)
        for label, share in zip(classes, _shares(sizes, n, held, generator).tolist(), strict=True):
            members = shuffled[labels[shuffled] == label]
            chosen[members[:share]] = True
    return (~chosen).nonzero().flatten(), chosen.nonzero().flatten()


def _shares(sizes: Tensor, n: int, held: int, generator: torch.Generator) -> Tensor:
    """How many images of each class are held out: largest remainders (Hamilton's method), equal ones by lot."""
    whole, remainder = sizes * held // n, sizes * held % n
    lot = torch.randperm(len(sizes), generator=generator)
    ranked = lot[remainder[lot].argsort(descending=True, stable=True)]
    whole[ranked[: held - int(whole.sum())]] += 1
    return whole


def split_dataset(name: str, raw: RawImages, spec: ImageSpec, seed: int) -> ImageDataset:
    """Cut `raw` into train, validation and test, and measure mean and std of the training images."""
    pool, labels = raw.images, raw.labels
    if raw.test_images is None:
        held = round(TEST_SHARE * len(pool))
        kept, out = stratified_holdout(len(pool), labels, held, derived_generator(0, "test split", name))
        test = _take(pool, labels, out)
        pool, labels = _take(pool, labels, kept).images, None if labels is None else labels[kept]
    else:
        test = ImageSplit(images=raw.test_images, labels=raw.test_labels)
    held = min(round(VALIDATION_SHARE * len(pool)), VALIDATION_LIMIT)
    kept, out = stratified_holdout(len(pool), labels, held, derived_generator(seed, "validation split", name))
    train, validation = _take(pool, labels, kept), _take(pool, labels, out)
    if min(len(train), len(validation), len(test)) < 2:
        n = len(raw.images)
        raise RequestError(f"dataset '{name}' has {n} images, too few for train, validation and test: add more")
    mean, std = channel_statistics(train.images)
    measured = ImageSpec(channels=spec.channels, size=spec.size, classes=spec.classes, mean=mean, std=std)
    unlabelled = None if raw.unlabelled is None else ImageSplit(images=raw.unlabelled)
    return ImageDataset(name=name, spec=measured, train=train, validation=validation, test=test, unlabelled=unlabelled)


def _take(images: Tensor, labels: Tensor | None, index: Tensor) -> ImageSplit:
    return ImageSplit(images=images[index], labels=None if labels is None else labels[index])
