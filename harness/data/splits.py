"""Seeded, stratified splits. The test set is a property of the dataset; the validation set is one of the seed.

An official test set stays the test set. Where there is none, a fifth of the images is held out, the same for every
seed. Of what is left, a tenth (at most 10,000 images) is for validation, drawn anew by each seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from harness.data.captions import tokenised, vocabulary_of
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


def split_dataset(
    name: str,
    raw: RawImages,
    spec: ImageSpec,
    seed: int,
    read_factors: Callable[[Tensor], Tensor] | None = None,
) -> ImageDataset:
    """Cut `raw` into train, validation and test; measure mean, std and vocabulary of the training rows."""
    pool, tests = _texts_apart(raw), raw.test
    everything = torch.arange(len(pool))
    test_captions: Sequence[str] | None
    if tests is None:
        held = round(TEST_SHARE * len(pool))
        everything, out = stratified_holdout(len(pool), raw.labels, held, derived_generator(0, "test split", name))
        test, test_captions = pool.rows(out), _chosen(raw.captions, out)
    else:
        test, test_captions = _texts_apart(tests), tests.captions
    held = min(round(VALIDATION_SHARE * len(everything)), VALIDATION_LIMIT)
    labels = None if raw.labels is None else raw.labels[everything]
    kept, out = stratified_holdout(len(everything), labels, held, derived_generator(seed, "validation split", name))
    kept, out = everything[kept], everything[out]
    if min(len(kept), len(out), len(test)) < 2:
        n = len(raw.images)
        raise RequestError(f"dataset '{name}' has {n} images, too few for train, validation and test: add more")
    train = pool.rows(kept)
    measured = _measured(spec, train.images, _chosen(raw.captions, kept))

    def with_tokens(split: ImageSplit, captions: Sequence[str] | None) -> ImageSplit:
        if captions is None:
            return split
        return replace(split, captions=tokenised(captions, measured.vocabulary, measured.caption_words))

    return ImageDataset(
        name=name,
        spec=measured,
        train=with_tokens(train, _chosen(raw.captions, kept)),
        validation=with_tokens(pool.rows(out), _chosen(raw.captions, out)),
        test=with_tokens(test, test_captions),
        unlabelled=None if raw.unlabelled is None else ImageSplit(images=raw.unlabelled),
        unseen=None if raw.unseen is None else with_tokens(_texts_apart(raw.unseen), raw.unseen.captions),
        read_factors=read_factors,
    )


def _measured(spec: ImageSpec, images: Tensor, captions: Sequence[str] | None) -> ImageSpec:
    """The spec with what only the training rows can tell."""
    mean, std = channel_statistics(images)
    if captions is None:
        return replace(spec, mean=mean, std=std)
    vocabulary, length = vocabulary_of(captions)
    return replace(spec, mean=mean, std=std, vocabulary=vocabulary, caption_words=length)


def _texts_apart(raw: RawImages) -> ImageSplit:
    """All rows as a split, but for the captions: tokens wait for the vocabulary."""
    return ImageSplit(
        images=raw.images, labels=raw.labels, counterparts=raw.counterparts, factors=raw.factors, targets=raw.targets
    )


def _chosen(captions: Sequence[str] | None, index: Tensor) -> list[str] | None:
    return None if captions is None else [captions[row] for row in index.tolist()]
