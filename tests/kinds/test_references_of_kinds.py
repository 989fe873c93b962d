"""The references on clips and texts: what the network alone gives, and what the labels give."""

from __future__ import annotations

import pytest
import torch
from toys import cell, dataset, registry, trained

from harness.building import build_method
from harness.data.batches import Batch, batch_of
from harness.data.rows import read_as
from harness.nn.augment import random_shift
from harness.registry.config import resolve
from harness_plugins.references import supervised


def built(kind: str, **params):
    data = dataset(kind)
    data = read_as(data, data.spec)
    backbone = build_method(registry(), cell(kind, "random-init"), data.spec).backbone
    config = resolve(supervised.Config, params, "supervised")
    return supervised.Supervised(backbone, data.spec, config).eval(), batch_of(data.train, data.spec)


def cross_entropy(method, inputs, labels):
    return torch.nn.functional.cross_entropy(method.predict(inputs), labels)


def test_supervised_moves_every_clip_as_a_whole() -> None:
    method, batch = built("video", shift=0.25)
    torch.manual_seed(0)
    loss = method.loss(batch)
    torch.manual_seed(0)
    moved = random_shift(batch.inputs, 0.25)
    torch.testing.assert_close(loss, cross_entropy(method, moved, batch.labels))
    assert not torch.equal(moved, batch.inputs)


def test_supervised_leaves_texts_as_they_are_whatever_its_shift() -> None:
    method, batch = built("text", shift=0.25, flip=True)
    before = torch.get_rng_state()
    torch.testing.assert_close(method.loss(batch), cross_entropy(method, batch.inputs, batch.labels))
    assert torch.equal(torch.get_rng_state(), before)


def test_supervised_of_images_draws_as_it_always_did() -> None:
    """The flip is drawn before the shift."""
    method, _ = built("image", shift=0.25, flip=True)
    images, labels = torch.rand(8, 1, 8, 8), torch.arange(8)
    torch.manual_seed(0)
    loss = method.loss(Batch(inputs=images, labels=labels))
    torch.manual_seed(0)
    mirrored = torch.where(torch.rand(8, 1, 1, 1) < 0.5, images.flip(-1), images)
    torch.testing.assert_close(loss, cross_entropy(method, random_shift(mirrored, 0.25), labels))


@pytest.mark.parametrize("kind", ["video", "text"])
def test_a_training_counts_clips_or_texts(kind: str) -> None:
    counted = {"video": "clips", "text": "texts"}[kind]
    for method, examples in (("supervised", 128), ("random-init", 0)):
        _, _, record = trained(kind, method, 2, ("labels",))
        assert (record.counted, record.examples) == (counted, examples)
