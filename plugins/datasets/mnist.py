"""MNIST: 70,000 handwritten digits, 28x28 grey, 10,000 of them for testing. LeCun et al. 1998."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.torchvision_files import download, mnist_files, read_mnist
from harness.plugin import DatasetSpec, DataSpec, ImageField, hookimpl

if TYPE_CHECKING:
    from harness.plugin import RawData

CLASSES = tuple("0123456789")


@dataclass(frozen=True, kw_only=True)
class Config:
    binarise: bool = False  # pixels of 0 and 1, drawn once with the grey value as the probability of 1


def describe(config: Config, root: Path) -> DataSpec[ImageField]:
    return DataSpec(inputs=ImageField(channels=1, size=28), classes=CLASSES)


def files(config: Config, root: Path) -> list[Path]:
    return mnist_files(root / "MNIST" / "raw")


def load(config: Config, root: Path) -> RawData:
    from harness.data.binarisation import binarised
    from harness.plugin import RawData

    images, labels = read_mnist(root / "MNIST" / "raw", "train")
    test_images, test_labels = read_mnist(root / "MNIST" / "raw", "t10k")
    if config.binarise:
        images, test_images = binarised(images, "mnist", "train"), binarised(test_images, "mnist", "t10k")
    return RawData(inputs=images, labels=labels, test=RawData(inputs=test_images, labels=test_labels))


def prepare(config: Config, root: Path) -> None:
    download("MNIST", root, {})


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name="mnist",
        describe=describe,
        files=files,
        load=load,
        prepare=prepare,
        config=Config,
        source="LeCun, Bottou, Bengio and Haffner 1998, doi:10.1109/5.726791; CC BY-SA 3.0 as commonly stated",
    )
