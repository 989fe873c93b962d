from __future__ import annotations

from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
import torch

from harness.data.batches import Batch, Batches
from harness.data.columns import Column, Files, InMemory
from harness.data.fields import DataSpec, ImageField
from harness.data.rows import Rows
from harness.seeding import derived_generator

SPEC = DataSpec(inputs=ImageField(channels=1, size=2))


def numbered(n: int, labels: bool = False) -> Rows:
    """Image i has the value i in all its pixels, and the label i."""
    images = torch.arange(n, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    return Rows(inputs=InMemory(images), labels=torch.arange(n) if labels else None)


def order(split: Rows, batch_size: int, steps: int, seed: int = 0) -> list[list[int]]:
    batches = Batches(split, SPEC, batch_size, derived_generator(seed, "order"))
    return [(batch.inputs[:, 0, 0, 0] * 255).round().long().tolist() for batch in islice(batches, steps)]


def test_each_image_comes_once_per_epoch() -> None:
    first, second = order(numbered(100), 20, 10)[:5], order(numbered(100), 20, 10)[5:]
    for epoch in (first, second):
        assert sorted(number for batch in epoch for number in batch) == list(range(100))
    assert first != second


def test_last_partial_batch_is_left_out() -> None:
    batches = Batches(numbered(10), SPEC, 4, derived_generator(0, "order"))
    assert len(batches) == 2
    epochs = order(numbered(10), 4, 4)
    assert [len(batch) for batch in epochs] == [4, 4, 4, 4]
    assert len(set(epochs[0] + epochs[1])) == len(set(epochs[2] + epochs[3])) == 8


def test_order_depends_on_the_seed_alone() -> None:
    assert order(numbered(64), 16, 9) == order(numbered(64, labels=True), 16, 9)
    assert order(numbered(64), 16, 4) != order(numbered(64), 16, 4, seed=1)


def test_labels_come_with_their_images_or_not_at_all() -> None:
    batch = next(iter(Batches(numbered(50, labels=True), SPEC, 8, derived_generator(0, "order"))))
    assert torch.equal((batch.inputs[:, 0, 0, 0] * 255).round().long(), batch.labels)
    bare = next(iter(Batches(numbered(50), SPEC, 8, derived_generator(0, "order"))))
    assert bare.labels is None


def test_inputs_are_floats_in_the_unit_interval_and_the_split_is_not_changed() -> None:
    split = Rows(inputs=InMemory(torch.full((4, 1, 2, 2), 255, dtype=torch.uint8)))
    inputs = next(iter(Batches(split, SPEC, 4, derived_generator(0, "order")))).inputs
    assert (inputs.dtype, inputs.shape, inputs.max().item()) == (torch.float32, (4, 1, 2, 2), 1.0)
    assert split.values.dtype == torch.uint8


def test_batch_is_never_larger_than_the_split() -> None:
    assert sorted(order(numbered(5), 128, 1)[0]) == [0, 1, 2, 3, 4]


def test_batch_logs_scalars_without_their_graph() -> None:
    batch = Batch(inputs=torch.zeros(2, 1, 2, 2))
    batch.log("kl", torch.ones((), requires_grad=True) * 2)
    assert batch.scalars["kl"].item() == 2
    assert not batch.scalars["kl"].requires_grad


def in_files(values: torch.Tensor) -> Column:
    """The same values, of which each has to be read by its name."""
    names = tuple(Path(str(row)) for row in range(len(values)))
    return Files(names, lambda paths: values[[int(path.name) for path in paths]])


def everything(streamed: str) -> Rows:
    """50 rows with all that a batch may carry; the columns that `streamed` names are in files."""
    images = numbered(50).values
    columns = {"inputs": images, "captions": torch.arange(100).view(50, 2), "paired": 255 - images}
    made = {name: in_files(each) if name in streamed else InMemory(each) for name, each in columns.items()}
    return Rows(labels=torch.arange(50), **made)


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("streamed", ["inputs", "paired", "inputs paired images", "inputs captions"])
def test_batches_from_files_are_those_from_memory(streamed: str, workers: int) -> None:
    expected = Batches(everything(""), SPEC, 8, derived_generator(0, "order"))
    found = Batches(everything(streamed), SPEC, 8, derived_generator(0, "order"), workers)
    with closing(iter(found)) as stream:
        for one, two in zip(islice(expected, 20), stream, strict=False):  # more than two epochs
            assert one.inputs.stride() == two.inputs.stride()
            for name in ("inputs", "labels", "captions", "paired"):
                assert torch.equal(getattr(one, name), getattr(two, name))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("streamed", ["", "inputs"])
@pytest.mark.parametrize("taken", [0, 1, 5, 6, 7, 20])
def test_a_stream_begins_after_the_batches_that_were_taken(streamed: str, workers: int, taken: int) -> None:
    """50 rows are six batches of eight: in the midst of an epoch, and between two."""
    whole = Batches(everything(""), SPEC, 8, derived_generator(0, "order"))
    rest = Batches(everything(streamed), SPEC, 8, derived_generator(0, "order"), workers)
    rest.taken = taken
    with closing(iter(rest)) as stream:
        for expected, found in zip(islice(whole, taken, taken + 8), stream, strict=False):
            assert torch.equal(expected.labels, found.labels)
            assert torch.equal(expected.inputs, found.inputs)
