"""What is not in memory behaves as what is: the same rows, the same values, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from harness.data import clips, images
from harness.data.columns import (
    Chained,
    Column,
    Converted,
    Files,
    InMemory,
    Texts,
    all_values,
    batches_of,
    blocks,
    concatenated,
    example_shape,
)

PIXELS = torch.randint(0, 256, (1100, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def decode(paths: Sequence[Path]) -> Tensor:
    """The file `7` is image 7."""
    return PIXELS[[int(path.name) for path in paths]]


def files(start: int = 0, end: int = len(PIXELS)) -> Files:
    return Files(tuple(Path(str(number)) for number in range(start, end)), decode)


def mixed() -> Column:
    """All images: some in files, some in memory, some in files that are converted."""
    parts = [files(0, 400), InMemory(PIXELS[400:500]), Converted(files(500), torch.clone)]
    return concatenated(parts)


@pytest.fixture(params=[files, mixed, lambda: Converted(files(), torch.clone)], ids=["files", "mixed", "converted"])
def column(request) -> Column:
    return request.param()


def test_rows_and_values_are_those_in_memory(column: Column) -> None:
    index = torch.tensor([1000, 3, 450, 3, 600, 401])
    assert not column.in_memory
    assert (len(column), example_shape(column)) == (1100, (3, 6, 6))
    assert torch.equal(column.take(index), PIXELS[index])
    fewer = column.rows(index)
    assert len(fewer) == 6
    assert torch.equal(all_values(fewer), PIXELS[index])
    assert torch.equal(fewer.rows(torch.tensor([5, 0])).take(torch.tensor([1])), PIXELS[1000:1001])
    assert torch.equal(all_values(column), PIXELS)


def test_blocks_come_in_order_and_are_no_larger_than_asked_for(column: Column) -> None:
    found = list(blocks(column, 300))
    assert [len(block) for block in found] == [300, 300, 300, 200]
    assert torch.equal(torch.cat(found), PIXELS)


def test_batches_of_rows_are_the_same_from_memory_and_from_files(column: Column) -> None:
    wanted = torch.randperm(1100, generator=torch.Generator().manual_seed(1)).split(250)
    for one, two in zip(batches_of(column, wanted), batches_of(InMemory(PIXELS), wanted), strict=True):
        assert torch.equal(one, two)


def test_a_column_knows_the_device_that_its_values_go_to(column: Column) -> None:
    assert InMemory(PIXELS).device == column.device == torch.device("cpu")
    there = column.to("meta")
    assert there.device.type == there.rows(torch.arange(3)).device.type == "meta"
    assert {block.device.type for block in blocks(there.rows(torch.arange(3)))} == {"meta"}
    assert there.take(torch.arange(2)).device.type == "cpu"  # as workers read it


def test_columns_of_one_sort_stay_in_memory() -> None:
    both = concatenated([InMemory(PIXELS[:5]), InMemory(PIXELS[5:9])])
    assert isinstance(both, InMemory)
    assert torch.equal(both.values, PIXELS[:9])
    assert concatenated([Texts(("a",)), Texts(("b", "c"))]) == Texts(("a", "b", "c"))
    assert isinstance(concatenated([files(), InMemory(PIXELS)]), Chained)


def test_statistics_are_the_same_numbers(column: Column) -> None:
    assert images.column_statistics(column) == images.channel_statistics(PIXELS)


@pytest.mark.parametrize(("channels", "size"), [(1, 6), (3, 4), (1, 9)])
def test_resizing_waits_until_values_are_taken_and_gives_the_same(column: Column, channels: int, size: int) -> None:
    expected = images.resized(InMemory(PIXELS), channels, size)
    found = images.resized(column, channels, size)
    assert expected.in_memory
    assert not found.in_memory
    assert torch.equal(all_values(found), all_values(expected))
    some = torch.tensor([700, 2])
    assert torch.equal(found.take(some), expected.take(some))


def test_clips_wait_as_images_do() -> None:
    film = replace(files(0, 90), decode=lambda paths: decode(paths).view(-1, 3, 1, 6, 6))
    expected = clips.resized(InMemory(PIXELS[:90].view(-1, 3, 1, 6, 6)), 5, 3, 4)
    found = clips.resized(film, 5, 3, 4)
    assert not found.in_memory
    assert torch.equal(all_values(found), all_values(expected))
