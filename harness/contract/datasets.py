"""The contract of datasets, check by check: what their description says, their files are and their images show."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from harness import loading
from harness.contract.requirements import Absent, Broken, require, require_none, require_shape
from harness.data.columns import column_of
from harness.data.fields import PLURALS, DataSpec, ImageField, VideoField
from harness.data.rows import RawData
from harness.data.splits import rows_of
from harness.errors import NotApplicable
from harness.plugin.specs import DatasetSpec


@dataclass(frozen=True)
class DatasetCase:
    spec: DatasetSpec
    config: Any
    root: Path

    @cached_property
    def raw(self) -> RawData:
        loading.check_present(self.spec, self.config, self.root)
        raw = self.spec.load(self.config, self.root)
        require_none(loading.raw_fault(raw))
        return raw

    @property
    def described(self) -> DataSpec:
        return loading.described(self.spec, self.config, self.root)


def describes_itself(case: DatasetCase) -> str:
    described = case.described
    inputs, kind = described.inputs, case.spec.kind
    require(inputs.kind == kind, f"describe gave {PLURALS[inputs.kind]}, and its spec says kind='{kind}'")
    if isinstance(inputs, (ImageField, VideoField)):
        require(inputs.channels in (1, 3), f"it has {inputs.channels} channels, expected 1 or 3")
        require(inputs.size > 0, f"its size is {inputs.size}, expected at least one pixel")
    if isinstance(inputs, VideoField):
        require(inputs.frames > 0, f"its clips have {inputs.frames} frames, expected at least one")
    names = described.classes
    require(len(set(names)) == len(names), "two of its classes have one name")
    return f"{inputs.title}, {len(names)} classes"


def files_are_there(case: DatasetCase) -> str:
    files = loading.files_of(case.spec, case.config, case.root)
    require(len(set(files)) == len(files), "files() names a file twice")
    loading.check_present(case.spec, case.config, case.root)
    return f"{len(files)} files"


def inputs_are_as_described(case: DatasetCase) -> str:
    raw, things = case.raw, PLURALS[case.described.kind]
    test = None if raw.test is None else raw.test.inputs
    for what, inputs in ((things, raw.inputs), (f"test {things}", test), (f"unlabelled {things}", raw.unlabelled)):
        if inputs is not None:
            try:
                case.described.inputs.check(column_of(inputs))
            except ValueError as error:
                raise Broken(f"{what} are {error}") from None
    return f"{len(column_of(raw.inputs))} {things}"


def labels_are_in_range(case: DatasetCase) -> str:
    classes = len(case.described.classes)
    if not classes:
        require(case.raw.labels is None, "it has labels, but describe() names no classes")
        raise NotApplicable("it has no labels")
    pairs = [("labels", case.raw.inputs, case.raw.labels)]
    if case.raw.test is not None:
        pairs.append(("test labels", case.raw.test.inputs, case.raw.test.labels))
    for what, inputs, labels in pairs:
        if labels is None or labels.dtype != torch.int64:
            raise Broken(f"{what} are not a torch.int64 tensor")
        require_shape(what, labels, (len(column_of(inputs)),))
        low, high = int(labels.min()), int(labels.max())
        require(low >= 0 and high < classes, f"{what} run from {low} to {high}, expected 0 to {classes - 1}")
    return ""


def masks_show_its_regions(case: DatasetCase) -> str:
    regions, reader = case.described.regions, case.spec.read_masks
    require(bool(regions) == bool(reader), "say both or none: regions in describe(), and read_masks of the spec")
    if reader is None:
        raise Absent("it does not tell what each pixel shows")
    inputs = case.described.inputs
    require(isinstance(inputs, ImageField), "masks are of images")
    rows = rows_of(case.raw)
    some = rows.rows(torch.arange(min(64, len(rows))))
    masks = reader(case.config, some)
    require_shape("read_masks", masks, (len(some), *inputs.shape[-2:]))
    require(masks.dtype == torch.uint8, f"read_masks returned {masks.dtype}, expected torch.uint8")
    require(int(masks.max()) < len(regions), f"a mask shows {int(masks.max())}, of {len(regions)} regions from 0 on")
    return ", ".join(regions)


def fills_its_splits(case: DatasetCase) -> str:
    """What a bench demands of it, in a bench's words."""
    try:
        loading.check_rows(case.raw, case.described)
    except ValueError as error:
        raise Broken(str(error)) from None
    made = loading.made(case.spec, case.config, case.raw, case.described, 0)
    return f"{len(made.train)}, {len(made.validation)} and {len(made.test)} to train, validate and test"


CHECKS = (
    describes_itself,
    files_are_there,
    inputs_are_as_described,
    labels_are_in_range,
    masks_show_its_regions,
    fills_its_splits,
)
