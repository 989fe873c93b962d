"""Handwritten digits, 8x8 grey: the 1,797 images that come with scikit-learn, so that there is data without a network.

They are the test part of UCI's "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998): each pixel
counts the ink in a 4x4 block of a bitmap, 0 to 16. No official split: Harness holds out a fifth.

N images, H=W=size pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from harness.plugin import DatasetMissing, DatasetSpec, DataSpec, ImageField, hookimpl

if TYPE_CHECKING:
    from harness.plugin import RawData


SIZE = 8  # height and width of the images in pixels, as they are


@dataclass(frozen=True, kw_only=True)
class Config:
    size: int = SIZE  # height and width in pixels; other sizes than 8 are resized bilinearly, with antialiasing
    binarise: bool = False  # pixels of 0 and 1, drawn once with the grey value as the probability of 1

    def __post_init__(self) -> None:
        if not 4 <= self.size <= 256:
            raise ValueError(f"size={self.size}: expected 4 to 256 pixels")


def describe(config: Config, root: Path) -> DataSpec[ImageField]:
    return DataSpec(inputs=ImageField(channels=1, size=config.size), classes=tuple("0123456789"))


def files(config: Config, root: Path) -> list[Path]:
    """The table inside scikit-learn, found without importing it (which takes two seconds)."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise DatasetMissing("dataset 'digits' comes with scikit-learn: install it with `pip install scikit-learn`")
    return [Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"]


def load(config: Config, root: Path) -> RawData:
    import numpy as np
    import torch

    from harness.data.binarisation import binarised
    from harness.data.images import converted
    from harness.plugin import RawData

    table = np.loadtxt(files(config, root)[0], delimiter=",")  # (N,65): 64 pixels in 0..16, label
    pixels = torch.from_numpy(table[:, :-1]).reshape(-1, 1, SIZE, SIZE)  # (N,1,8,8)
    labels = torch.from_numpy(table[:, -1]).long()  # (N,)
    images = (pixels * 255 / 16).round().to(torch.uint8)
    if config.size != SIZE:
        images = converted(images, 1, config.size)  # (N,1,H,W)
    return RawData(inputs=binarised(images, "digits") if config.binarise else images, labels=labels)


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name="digits",
        describe=describe,
        files=files,
        load=load,
        config=Config,
        source="Alpaydin and Kaynak 1998, doi:10.24432/C50P49, with scikit-learn; CC BY 4.0",
    )
