"""Seeded, stratified splits. The test set is a property of the dataset; the validation set is one of the seed.

An official test set stays the test set. Where there is none, a fifth of the rows is held out, the same for every
seed. Of what is left, a tenth (at most 10,000 rows) is for validation, drawn anew by each seed. Rows of one group
(`RawData.groups`) are never in two splits: whole groups are held out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from harness.data.columns import column_of
from harness.data.copies import copied
from harness.data.fields import PLURALS, DataSpec, F
from harness.data.rows import Dataset, RawData, Rows
from harness.errors import RequestError
from harness.metrics.holdout import stratified_holdout
from harness.seeding import derived_generator

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
VALIDATION_LIMIT = 10_000


def split_dataset(
    name: str,
    raw: RawData,
    spec: DataSpec[F],
    seed: int,
    read_factors: Callable[[Tensor], Tensor] | None = None,
    read_masks: Callable[[Rows], Tensor] | None = None,
) -> Dataset[F]:
    """Cut `raw` into train, validation and test; measure mean, std and tokenizers of the training rows.

    Texts and captions stay strings: the field of the source reads them (harness.data.rows.read_as).
    """
    pool = rows_of(raw)
    everything = torch.arange(len(pool))
    if raw.test is None:
        held = round(TEST_SHARE * len(pool))
        drawn = derived_generator(0, "test split", name)
        everything, out = held_out(everything, raw.labels, raw.groups, held, drawn)
        test = pool.rows(out)
    else:
        test = rows_of(raw.test)
    held = min(round(VALIDATION_SHARE * len(everything)), VALIDATION_LIMIT)
    kept, out = held_out(everything, raw.labels, raw.groups, held, derived_generator(seed, "validation split", name))
    if min(len(kept), len(out), len(test)) < 2:
        found = f"{len(pool)} {PLURALS[spec.kind]}"
        raise RequestError(f"dataset '{name}' has {found}, too few for train, validation and test: add more")
    train, validation = pool.rows(kept), pool.rows(out)
    twins = copied(test.inputs, [train.inputs, validation.inputs])
    of = f"{twins} of {len(test)} test {PLURALS[spec.kind]} are exact copies of training ones" if twins else ""
    return Dataset(
        name=name,
        spec=measured(spec, train),
        train=train,
        validation=validation,
        test=test,
        unlabelled=None if raw.unlabelled is None else Rows(inputs=column_of(raw.unlabelled)),
        unseen=None if raw.unseen is None else rows_of(raw.unseen),
        read_factors=read_factors,
        read_masks=read_masks,
        note="; ".join(filter(None, (raw.note, of))),
    )


def held_out(
    rows: Tensor, labels: Tensor | None, groups: Tensor | None, held: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Cut rows (n,) into (kept, held out): `held` of them, or with groups as many whole groups as that is a share of.

    A group counts under the label of its first row. labels, groups: int64, of all rows of the dataset.
    """
    if groups is None:
        kept, out = stratified_holdout(len(rows), None if labels is None else labels[rows], held, generator)
        return rows[kept], rows[out]
    names, member = groups[rows].unique(return_inverse=True)
    first = torch.full((len(names),), len(rows)).scatter_reduce(0, member, torch.arange(len(rows)), "amin")
    share = round(held * len(names) / len(rows))
    _, out = stratified_holdout(len(names), None if labels is None else labels[rows][first], share, generator)
    outside = torch.isin(member, out)
    return rows[~outside], rows[outside]


def measured(spec: DataSpec[F], train: Rows) -> DataSpec[F]:
    """The spec with what only the training rows can tell."""
    captions = spec.captions
    if captions is not None and train.captions is not None:
        captions = captions.measured(train.captions)
    return replace(spec, inputs=spec.inputs.measured(train.inputs), captions=captions)


def rows_of(raw: RawData) -> Rows:
    """All that was loaded of one part, as columns."""
    return Rows(
        inputs=column_of(raw.inputs),
        labels=raw.labels,
        captions=None if raw.captions is None else column_of(raw.captions),
        paired=None if raw.paired is None else column_of(raw.paired),
        factors=raw.factors,
        targets=raw.targets,
    )
