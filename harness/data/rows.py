"""Datasets as rows of columns: what is known of each example, and the splits that methods and evaluations see.

N rows, F factors, R regression targets. A method sees the kind of data through the field of its spec alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Generic

import torch
from torch import Tensor

from harness.data.columns import Column, InMemory, all_values, concatenated
from harness.data.fields import DataSpec, F
from harness.records import Information, SplitName
from harness.seeding import derived_generator


@dataclass(frozen=True, kw_only=True)
class RawData:
    """What a dataset plugin loads. Without an official test set (`test` None) Harness holds one out.

    Of each example, by row, where the dataset's DataSpec says so: a label, a caption, a paired image, factors, targets.
    Inputs are uint8 images (N,C,H,W) or clips (N,T,C,H,W), texts, or a column such as harness.data.columns.Files.
    """

    inputs: Tensor | Sequence[str] | Column
    labels: Tensor | None = None  # int64 (N,)
    captions: Sequence[str] | None = None  # N texts
    paired: Tensor | Column | None = None  # like the inputs: the same scene in another domain
    factors: Tensor | None = None  # int64 (N,F): indices into the values of each factor
    targets: Tensor | None = None  # float32 (N,R): known numbers, for regression
    test: RawData | None = None
    unseen: RawData | None = None  # combinations of factors that neither training nor test shows
    unlabelled: Tensor | Sequence[str] | Column | None = None  # more inputs, to learn from without labels
    groups: Tensor | None = None  # int64 (N,): rows of one group, such as clips of one film, are in one split
    note: str = ""  # what a reader must know of how it was loaded: what was left out


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Some rows of a dataset; None where it has no such thing."""

    inputs: Column
    labels: Tensor | None = None  # int64 (N,)
    captions: Column | None = None  # texts, and tokens (N,L) once a field has read them
    paired: Column | None = None  # of the inputs' field
    factors: Tensor | None = None  # int64 (N,F)
    targets: Tensor | None = None  # float32 (N,R)

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def values(self) -> Tensor:
        """All inputs as they are kept, in memory: uint8 (N,C,H,W) or (N,T,C,H,W), or tokens (N,L)."""
        return all_values(self.inputs)

    def rows(self, index: Tensor) -> Rows:
        """The rows that `index` (n,) names, of everything."""
        return Rows(**_rows(self._known(), index))

    def to(self, device: str | torch.device) -> Rows:
        """Everything that is in memory on that device; what is in files gets there once it is decoded."""
        return Rows(**{name: value.to(device) for name, value in self._known().items() if value is not None})  # type: ignore[arg-type]

    def waiting(self) -> dict[str, Column]:
        """The columns that are not in memory, by name."""
        columns = {"inputs": self.inputs, "captions": self.captions, "paired": self.paired}
        return {name: column for name, column in columns.items() if column is not None and not column.in_memory}

    def decoded(self, index: Tensor, values: Mapping[str, Tensor]) -> Rows:
        """The rows (n,), with the values (n,...) of every column that is not in memory."""
        known = {name: value for name, value in self._known().items() if name not in values}
        return Rows(**_rows(known, index), **{name: InMemory(taken) for name, taken in values.items()})  # type: ignore[arg-type]

    def _known(self) -> dict[str, Tensor | Column | None]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _rows(known: Mapping[str, Tensor | Column | None], index: Tensor) -> dict[str, Any]:
    """Those rows of each, without what is None."""
    found: dict[str, Any] = {}
    for name, value in known.items():
        if isinstance(value, Tensor):
            found[name] = value.index_select(0, index.to(value.device))
        elif value is not None:
            found[name] = value.rows(index.to(value.device))
    return found


def condition_of(rows: Rows, kind: str) -> Tensor | None:
    """What can be asked for, `labels` (N,) or `captions` as tokens (N,L); None where the rows have no such thing."""
    if kind == "captions":
        return None if rows.captions is None else all_values(rows.captions)
    return rows.labels


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts, one after the other; what the first one lacks is None."""
    found: dict[str, Tensor | Column] = {}
    for name, value in parts[0]._known().items():
        if isinstance(value, Tensor):
            found[name] = torch.cat([getattr(part, name) for part in parts])
        elif value is not None:
            found[name] = concatenated([getattr(part, name) for part in parts])
    return Rows(**found)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Dataset(Generic[F]):
    """A dataset as methods and evaluations see it: three splits and, for some, more inputs without labels."""

    name: str
    spec: DataSpec[F]
    train: Rows
    validation: Rows
    test: Rows
    unlabelled: Rows | None = None
    unseen: Rows | None = None  # combinations of factors that no other split shows
    read_factors: Callable[[Tensor], Tensor] | None = None  # inputs as they are kept -> int64 (N,F), -1 if unreadable
    read_masks: Callable[[Rows], Tensor] | None = None  # rows, their inputs perhaps resized -> uint8 (n,H,W): regions
    note: str = ""  # what was done to the inputs, e.g. "resized from 28x28x1 to 8x8x1"

    def split(self, name: SplitName) -> Rows:
        """The rows of `train`, `validation` or `test`."""
        return getattr(self, name)

    def pretraining(self, uses: Collection[Information], *, validation: bool = False) -> Rows:
        """What a method that uses this beside the inputs learns from: nothing else of the rows is in it.

        A method that uses nothing but inputs learns from those of the training split and all unlabelled ones; with
        `validation`, every method learns from the rows of that split too.
        """
        splits: tuple[SplitName, ...] = ("train", "validation") if validation else ("train",)
        parts = [self.seen(split, uses) for split in splits]
        if not uses and self.unlabelled is not None:
            parts.append(Rows(inputs=self.unlabelled.inputs))
        return joined(parts) if len(parts) > 1 else parts[0]

    def seen(self, split: SplitName, uses: Collection[Information]) -> Rows:
        """The inputs of a split, and beside them what a method sees that uses this; unpaired ones shuffled."""
        rows = self.split(split)
        known = {name: getattr(rows, name) for name in uses if name != "unpaired"}
        if "unpaired" in uses and rows.paired is not None:
            order = torch.randperm(len(rows), generator=derived_generator(0, "unpaired", self.name))
            known["paired"] = rows.paired.rows(order)
        return Rows(inputs=rows.inputs, **known)


def read_as(dataset: Dataset, spec: DataSpec) -> Dataset:
    """`dataset` as a method that was built for `spec` can read it: inputs in its field, captions in its tokens.

    What was done to the inputs is said in the `note`. Raises NotApplicable where the inputs are of another kind.
    """
    same_shape = spec.kind == "text" or dataset.spec.inputs.shape == spec.inputs.shape  # texts have the source's length
    alike = same_shape and dataset.spec.kind == spec.kind
    notes: list[str] = []

    def read(rows: Rows) -> Rows:
        inputs, note = spec.inputs.read(rows.inputs, dataset.spec.inputs)
        notes.append(note)
        captions = rows.captions
        if captions is not None and spec.captions is not None:
            captions, _ = spec.captions.read(captions, spec.captions)
        return replace(rows, inputs=inputs, captions=captions, paired=rows.paired if alike else None)

    changed = replace(
        dataset,
        train=read(dataset.train),
        validation=read(dataset.validation),
        test=read(dataset.test),
        unlabelled=read(dataset.unlabelled) if alike and dataset.unlabelled is not None else None,
        unseen=read(dataset.unseen) if alike and dataset.unseen is not None else None,
    )
    own = replace(dataset.spec, captions=spec.captions or dataset.spec.captions)
    if spec.kind == "text":
        own = replace(own, inputs=spec.inputs)
    if alike:
        return replace(changed, spec=own)
    told = "; ".join(filter(None, (dataset.note, notes[0])))
    if spec.kind != "text":
        own = replace(own, inputs=replace(spec.inputs, mean=(), std=()))  # of the target they are not known
    return replace(changed, spec=replace(own, paired_domain=""), read_factors=None, note=told)
