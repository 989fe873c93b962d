"""The contract of datasets, check by check: what their description says, their files are and their images show."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from harness.data import catalog
from harness.data.images import RawImages
from harness.errors import NotApplicable
from harness.records import ImageSpec
from harness.specs import DatasetSpec
from harness.testing import Broken, require, require_shape


@dataclass(frozen=True)
class DatasetCase:
    spec: DatasetSpec
    config: Any
    root: Path

    @cached_property
    def raw(self) -> RawImages:
        catalog.check_present(self.spec, self.config, self.root)
        return self.spec.load(self.config, self.root)

    @property
    def described(self) -> ImageSpec:
        return self.spec.describe(self.config, self.root)


def describes_itself(case: DatasetCase) -> str:
    described = case.described
    require(isinstance(described, ImageSpec), f"describe gave a {type(described).__name__}, expected an ImageSpec")
    require(described.channels in (1, 3), f"it has {described.channels} channels, expected 1 or 3")
    require(described.size > 0, f"its size is {described.size}, expected at least one pixel")
    names = described.classes
    require(len(set(names)) == len(names), "two of its classes have one name")
    return f"{described.size}x{described.size}x{described.channels}, {len(names)} classes"


def files_are_there(case: DatasetCase) -> str:
    files = case.spec.files(case.config, case.root)
    require(bool(files), "files() is empty: without files there is no fingerprint")
    require(len(set(files)) == len(files), "files() names a file twice")
    catalog.check_present(case.spec, case.config, case.root)
    return f"{len(files)} files"


def images_are_as_described(case: DatasetCase) -> str:
    raw, shape = case.raw, case.described.shape
    test = None if raw.test is None else raw.test.images
    for what, images in (("images", raw.images), ("test images", test), ("unlabelled", raw.unlabelled)):
        if images is not None:
            require(images.dtype == torch.uint8, f"{what} are {images.dtype}, expected torch.uint8")
            require_shape(what, images[:1], (1, *shape))
    return f"{len(raw.images)} images"


def labels_are_in_range(case: DatasetCase) -> str:
    classes = len(case.described.classes)
    if not classes:
        require(case.raw.labels is None, "it has labels, but describe() names no classes")
        raise NotApplicable("it has no labels")
    pairs = [("labels", case.raw.images, case.raw.labels)]
    if case.raw.test is not None:
        pairs.append(("test labels", case.raw.test.images, case.raw.test.labels))
    for what, images, labels in pairs:
        if labels is None or labels.dtype != torch.int64:
            raise Broken(f"{what} are not a torch.int64 tensor")
        require_shape(what, labels, (len(images),))
        low, high = int(labels.min()), int(labels.max())
        require(low >= 0 and high < classes, f"{what} run from {low} to {high}, expected 0 to {classes - 1}")
    return ""


CHECKS = (describes_itself, files_are_there, images_are_as_described, labels_are_in_range)
