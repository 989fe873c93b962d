"""A dataset with fewer labels: some rows of its training and validation splits, drawn class by class.

The rows of a class are put into one order by the seed, and the first ones of it are taken. So a small part lies within
each larger one of the same seed, `1%` within `10%`, and 1 of 130 is one row, not none.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from harness.data.fields import PLURALS
from harness.data.rows import Dataset, Rows
from harness.errors import NotApplicable
from harness.labels import Labels
from harness.seeding import derived_generator

FEWEST = 2  # rows of a dataset without labels: one has no deviation


def with_fewer_labels(dataset: Dataset, labels: Labels, seed: int) -> Dataset:
    """`dataset` with that part of its training rows, and as large a share of the validation rows of each class.

    Whoever chooses with all validation labels has not done with few labels: Oliver et al. 2018, arXiv:1804.09170,
    section 4.6. Of each class one validation row is left at least. The test split stays as it is.
    Raises NotApplicable where a class has fewer rows than are asked for, and without classes for `5/class`.
    """
    if labels.all:
        return dataset
    train, validation = dataset.train, dataset.validation
    if train.labels is None or validation.labels is None:
        if labels.each:
            raise NotApplicable(f"{dataset.name} has no classes to take {labels} of: ask for a share, such as 10%")
        wanted = [(rows, max(FEWEST, labels.of_class(len(rows)))) for rows in (train, validation)]
        drawn = [_first(_order(rows, seed, dataset.name), n) for rows, n in wanted]
    else:
        sizes, held = _sizes(train, dataset), _sizes(validation, dataset)
        counts = [labels.of_class(size) for size in sizes]
        short = next((label for label, size in enumerate(sizes) if size < counts[label]), None)
        if short is not None:
            found = f"{sizes[short]} training {PLURALS[dataset.spec.kind]} of class '{dataset.spec.classes[short]}'"
            raise NotApplicable(f"{dataset.name} has {found}, fewer than {labels}")
        shares = [max(1, round(there * n / size)) for there, n, size in zip(held, counts, sizes, strict=True)]
        drawn = [_stratified(train, counts, seed, dataset.name), _stratified(validation, shares, seed, dataset.name)]
    parts = [rows.rows(index) for rows, index in zip((train, validation), drawn, strict=True)]
    return replace(dataset, train=parts[0], validation=parts[1], note=_note(dataset, parts, labels))


def _sizes(rows: Rows, dataset: Dataset) -> list[int]:
    """How many rows each class has."""
    assert rows.labels is not None
    return rows.labels.bincount(minlength=len(dataset.spec.classes)).tolist()


def _order(rows: Rows, seed: int, name: str) -> Tensor:
    """The order in which rows get their labels: (N,)."""
    return torch.randperm(len(rows), generator=derived_generator(seed, "labels", name))


def _first(order: Tensor, n: int) -> Tensor:
    """The first n of an order, as sorted indices."""
    return order[:n].sort().values


def _stratified(rows: Rows, counts: list[int], seed: int, name: str) -> Tensor:
    """The first so many rows of every class, as sorted indices; all of a class that has fewer."""
    assert rows.labels is not None
    order = _order(rows, seed, name)
    known = rows.labels[order]
    return torch.cat([order[known == label][:n] for label, n in enumerate(counts)]).sort().values


def _note(dataset: Dataset, parts: list[Rows], labels: Labels) -> str:
    things = PLURALS[dataset.spec.kind]
    used = f"{len(parts[0])} of {len(dataset.train)} training {things}"
    chosen = f"{len(parts[1])} of {len(dataset.validation)} for validation"
    what = f"{labels} of the labels" if not labels.each else f"{labels}"
    return "; ".join(filter(None, (dataset.note, f"{what}: {used}, {chosen}")))
