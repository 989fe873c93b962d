"""Handwritten digits, 8x8 grey: the 1,797 images that come with scikit-learn, so that there is data without a network.

They are the test part of UCI's "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998): each pixel
counts the ink in a 4x4 block of a bitmap, 0 to 16. No official split: Harness holds out a fifth.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DatasetMissing
from harness.hookspecs import hookimpl
from harness.records import ImageSpec
from harness.specs import DatasetSpec, NoConfig

if TYPE_CHECKING:
    from harness.data.images import RawImages


def describe(config: NoConfig, root: Path) -> ImageSpec:
    return ImageSpec(channels=1, size=8, classes=tuple("0123456789"))


def files(config: NoConfig, root: Path) -> list[Path]:
    """The table inside scikit-learn, found without importing it (which takes two seconds)."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise DatasetMissing("dataset 'digits' comes with scikit-learn: install it with `pip install scikit-learn`")
    return [Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"]


def load(config: NoConfig, root: Path) -> RawImages:
    import numpy as np
    import torch

    from harness.data.images import RawImages

    table = np.loadtxt(files(config, root)[0], delimiter=",")  # (N,65): 64 pixels in 0..16, label
    pixels = torch.from_numpy(table[:, :-1]).reshape(-1, 1, 8, 8)  # (N,1,8,8)
    labels = torch.from_numpy(table[:, -1]).long()  # (N,)
    return RawImages(images=(pixels * 255 / 16).round().to(torch.uint8), labels=labels)


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name="digits",
        describe=describe,
        files=files,
        load=load,
        source="Alpaydin and Kaynak 1998, doi:10.24432/C50P49, with scikit-learn; CC BY 4.0",
    )
