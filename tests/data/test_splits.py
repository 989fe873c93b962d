from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.data.fields import DataSpec, Factor, ImageField, TextField
from harness.data.rows import Dataset, RawData, Rows, read_as
from harness.data.splits import split_dataset
from harness.data.tokens import UNKNOWN
from harness.errors import RequestError

SPEC = DataSpec(inputs=ImageField(channels=1, size=2), classes=("a", "b", "c"))


def numbered(n: int, labels: bool = True, tests: int = 0) -> RawData:
    """Images that show their own number in four bytes; the labels have shares of 1/2, 1/3 and 1/6."""
    images = torch.arange(n + tests).view(-1, 1).div(256 ** torch.arange(4), rounding_mode="floor") % 256
    pixels = images.to(torch.uint8).view(-1, 1, 2, 2)
    label = torch.tensor([0, 0, 0, 1, 1, 2]).repeat(n + tests)[: n + tests]
    return RawData(
        inputs=pixels[:n],
        labels=label[:n] if labels else None,
        test=RawData(inputs=pixels[n:], labels=label[n:] if labels else None) if tests else None,
    )


def numbers(images: torch.Tensor) -> list[int]:
    return (images.view(-1, 4).long() * 256 ** torch.arange(4)).sum(1).tolist()


def split(raw: RawData, seed: int) -> Dataset:
    return split_dataset("numbered", raw, SPEC, seed)


def test_every_image_is_in_exactly_one_split() -> None:
    dataset = split(numbered(1000), seed=0)
    everything = numbers(torch.cat([dataset.train.values, dataset.validation.values, dataset.test.values]))
    assert sorted(everything) == list(range(1000))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (720, 80, 200)


def test_labels_stay_with_their_images() -> None:
    raw = numbered(600)
    for part in (split(raw, 3).train, split(raw, 3).validation, split(raw, 3).test):
        assert torch.equal(part.labels, raw.labels[numbers(part.values)])


def test_test_set_is_the_same_for_every_seed_and_validation_is_not() -> None:
    first, again, other = (split(numbered(1000), seed) for seed in (0, 0, 1))
    assert torch.equal(first.validation.values, again.validation.values)
    assert torch.equal(first.test.values, other.test.values)
    assert numbers(first.validation.values) != numbers(other.validation.values)


def test_official_test_set_is_untouched() -> None:
    raw = numbered(500, tests=70)
    dataset = split(raw, seed=4)
    assert torch.equal(dataset.test.values, raw.test.inputs)
    assert torch.equal(dataset.test.labels, raw.test.labels)
    assert len(dataset.train) + len(dataset.validation) == 500


def test_validation_takes_at_most_ten_thousand_images() -> None:
    dataset = split(numbered(120_000, tests=10), seed=0)
    assert len(dataset.validation) == 10_000


def test_without_labels_the_shares_are_the_same() -> None:
    dataset = split(numbered(1000, labels=False), seed=0)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (720, 80, 200)
    assert dataset.train.labels is None


def test_mean_and_std_are_those_of_the_training_images_alone() -> None:
    dataset = split(numbered(1000), seed=0)
    values = dataset.train.values.double() / 255
    assert dataset.spec.inputs.mean == pytest.approx([values.mean().item()])
    assert dataset.spec.inputs.std == pytest.approx([values.std(correction=0).item()])


@pytest.mark.parametrize("n", [0, 1, 5])
def test_too_few_images_are_an_error(n: int) -> None:
    with pytest.raises(RequestError, match=f"dataset 'numbered' has {n} images, too few .* add more"):
        split(numbered(n), seed=0)


RICH = replace(
    SPEC,
    captions=TextField(),
    paired_domain="negative",
    factors=(Factor(name="remainder", values=tuple("01234")),),
    targets=("n",),
)


def rich(start: int, n: int) -> RawData:
    """Images that show the numbers from `start` on; all that is known of an image follows from its number."""
    number = torch.arange(start, start + n)
    images = (number.view(-1, 1) // 256 ** torch.arange(4) % 256).to(torch.uint8).view(-1, 1, 2, 2)
    return RawData(
        inputs=images,
        labels=number % 3,
        captions=[f"number {value}" for value in number.tolist()],
        paired=255 - images,
        factors=(number % 5)[:, None],
        targets=number.float()[:, None],
    )


def check_rows(split: Rows) -> None:
    """Each row still knows what belongs to its image."""
    shown = torch.tensor(numbers(split.values))
    assert torch.equal(split.labels, shown % 3)
    assert torch.equal(split.paired.values, 255 - split.values)
    assert torch.equal(split.factors, (shown % 5)[:, None])
    assert torch.equal(split.targets, shown.float()[:, None])
    assert split.captions.strings == tuple(f"number {value}" for value in shown.tolist())


@pytest.mark.parametrize("official", [False, True])
def test_all_that_is_known_of_an_image_stays_with_it(official: bool) -> None:
    raw = replace(rich(0, 500), test=rich(500, 60) if official else None, unseen=rich(600, 40))
    dataset = split_dataset("rich", raw, RICH, 0)
    assert len(dataset.test) == (60 if official else 100)
    for part in (dataset.train, dataset.validation, dataset.test, dataset.unseen):
        check_rows(part)
    assert numbers(dataset.unseen.values) == list(range(600, 640))
    assert dataset.read_factors is None


def test_vocabulary_is_that_of_the_training_captions_alone() -> None:
    dataset = split_dataset("rich", replace(rich(0, 500), unseen=rich(600, 40)), RICH, 0)
    expected = sorted({"number", *map(str, numbers(dataset.train.values))})
    assert dataset.spec.captions.vocabulary == ("", "?", *expected)
    assert dataset.spec.captions.length == 2
    read = read_as(dataset, dataset.spec)
    assert (read.test.captions.values[:, 1] == UNKNOWN).all()  # held-out numbers are unknown words
    assert (read.train.captions.values > UNKNOWN).all()


def test_reader_of_factors_goes_with_the_dataset() -> None:
    def reader(images: torch.Tensor) -> torch.Tensor:
        return torch.tensor(numbers(images))[:, None] % 5

    dataset = split_dataset("rich", rich(0, 100), RICH, 0, reader)
    assert torch.equal(dataset.read_factors(dataset.test.values), dataset.test.factors)


def test_without_more_than_images_nothing_is_made_up() -> None:
    train = split(numbered(100, labels=False), seed=0).train
    assert [train.labels, train.captions, train.paired, train.factors, train.targets] == [None] * 5


def test_learning_unpaired_keeps_all_paired_but_no_pairs() -> None:
    dataset = split_dataset("rich", rich(0, 1500), RICH, 0)
    seen = dataset.pretraining(("unpaired",))
    assert torch.equal(seen.values, dataset.train.values)
    assert sorted(numbers(255 - seen.paired.values)) == sorted(numbers(dataset.train.values))
    kept = (seen.paired.values == 255 - seen.values).flatten(1).all(1).sum()
    assert kept <= 6  # of a random order, one on average: more than six in one of 12,000
    again = split_dataset("rich", rich(0, 1500), RICH, 0).pretraining(("unpaired",))
    assert torch.equal(seen.paired.values, again.paired.values)


def test_pretraining_gives_what_was_asked_for_and_nothing_else() -> None:
    dataset = split_dataset("rich", rich(0, 300), RICH, 0)
    known = {"labels", "captions", "paired", "factors", "targets"}
    for uses in ((), ("labels",), ("captions",), ("paired",), ("unpaired",), ("labels", "captions")):
        seen = dataset.pretraining(uses)
        expected = {"paired" if name == "unpaired" else name for name in uses}
        assert {name for name in known if getattr(seen, name) is not None} == expected
    paired = dataset.pretraining(("paired",))
    assert torch.equal(paired.paired.values, 255 - paired.values)


@pytest.mark.parametrize("labels", [True, False])
def test_rows_of_one_group_are_in_one_split(labels: bool) -> None:
    """Groups of 1 to 5 rows, scattered over the dataset: about the shares of single rows, and none is cut."""
    raw = numbered(1500, labels=labels)
    sizes = torch.arange(500) % 5 + 1
    groups = torch.arange(500).repeat_interleave(sizes)[
        torch.randperm(1500, generator=torch.Generator().manual_seed(0))
    ]
    dataset = split_dataset(
        "numbered", replace(raw, groups=groups), replace(SPEC, classes=SPEC.classes if labels else ()), seed=1
    )
    parts = [numbers(part.values) for part in (dataset.train, dataset.validation, dataset.test)]
    assert sorted(number for part in parts for number in part) == list(range(1500))
    found = [set(groups[part].tolist()) for part in parts]
    assert len(found[0] | found[1] | found[2]) == sum(map(len, found)) == 500
    assert [len(part) for part in found] == [360, 40, 100]


def test_groups_of_single_rows_change_nothing() -> None:
    plain, grouped = numbered(600), replace(numbered(600), groups=torch.arange(600))
    for name in ("train", "validation", "test"):
        assert torch.equal(split(plain, 2).split(name).values, split(grouped, 2).split(name).values)
