"""A part of the labels: nested, stratified, of validation as of training, the same from the same seed."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from harness.data.fewer import with_fewer_labels
from harness.data.fields import DataSpec, ImageField
from harness.data.rows import Dataset, RawData, Rows
from harness.data.splits import split_dataset
from harness.errors import NotApplicable
from harness.labels import Labels

SIZES = (600, 300, 40)  # examples of each class


def example(*, labelled: bool = True) -> Dataset:
    """Images whose pixels hold the number of their row."""
    numbers = torch.arange(sum(SIZES))
    images = torch.stack([numbers // 256, numbers % 256], 1).to(torch.uint8).view(-1, 1, 1, 2).repeat(1, 1, 2, 1)
    labels = torch.cat([torch.full((n,), label) for label, n in enumerate(SIZES)])
    spec = DataSpec(inputs=ImageField(channels=1, size=2), classes=("a", "b", "c") if labelled else ())
    return split_dataset("example", RawData(inputs=images, labels=labels if labelled else None), spec, 0)


def rows_of(rows: Rows) -> set[int]:
    pixels = rows.values[:, 0, 0].long()
    return set((256 * pixels[:, 0] + pixels[:, 1]).tolist())


def counts(rows: Rows) -> list[int]:
    assert rows.labels is not None
    found = Counter(rows.labels.tolist())
    return [found[label] for label in range(len(SIZES))]


@pytest.mark.parametrize(
    ("labelled", "texts"),
    [
        (True, ["0.1%", "1%", "10%", "50%"]),
        (True, ["1/class", "2/class", "7/class", "25/class"]),
        (False, ["0.1%", "1%", "10%", "50%"]),
    ],
)
def test_a_smaller_part_lies_within_a_larger_one(labelled: bool, texts: list[str]) -> None:
    data = example(labelled=labelled)
    parts = [with_fewer_labels(data, Labels.parse(text), 3) for text in texts]
    for small, large in zip(parts, [*parts[1:], data], strict=True):
        assert rows_of(small.train) < rows_of(large.train)
        assert rows_of(small.validation) <= rows_of(large.validation)


def test_every_class_keeps_its_share_and_one_at_least() -> None:
    data = example()
    tenth = with_fewer_labels(data, Labels(share=10), 0)
    assert counts(tenth.train) == [round(n / 10) for n in counts(data.train)]
    assert counts(tenth.validation) == [round(n / 10) or 1 for n in counts(data.validation)]
    hundredth = with_fewer_labels(data, Labels(share=1), 0)
    assert counts(hundredth.train)[2] == 1
    assert counts(hundredth.validation) == [1, 1, 1]
    assert hundredth.test is data.test
    assert hundredth.note == "1% of the labels: 7 of 677 training images, 3 of 75 for validation"


def test_so_many_of_each_class_take_their_share_of_validation() -> None:
    data = example()
    part = with_fewer_labels(data, Labels(each=20), 0)
    assert counts(part.train) == [20, 20, 20]
    there = zip(counts(data.validation), counts(data.train), strict=True)
    assert counts(part.validation) == [max(1, round(held * 20 / size)) for held, size in there]


def test_the_seed_draws() -> None:
    data, part = example(), Labels(share=10)
    first, again, other = (rows_of(with_fewer_labels(data, part, seed).train) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_all_labels_are_the_dataset_itself() -> None:
    data = example()
    assert with_fewer_labels(data, Labels(), 0) is data


def test_more_than_there_are_do_not_apply() -> None:
    data = example()
    there = counts(data.train)[2]
    assert counts(with_fewer_labels(data, Labels(each=there), 0).train) == [there] * 3
    with pytest.raises(
        NotApplicable, match=f"example has {there} training images of class 'c', fewer than {there + 1}/class"
    ):
        with_fewer_labels(data, Labels(each=there + 1), 0)


def test_without_classes_there_are_shares_alone() -> None:
    data = example(labelled=False)
    assert len(with_fewer_labels(data, Labels(share=10), 0).train) == round(len(data.train) / 10)
    assert len(with_fewer_labels(data, Labels(share=0.01), 0).train) == 2
    with pytest.raises(NotApplicable, match="example has no classes to take 5/class of: ask for a share, such as 10%"):
        with_fewer_labels(data, Labels(each=5), 0)
