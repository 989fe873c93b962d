"""Fashion-MNIST: 70,000 pictures of clothes, 28x28 grey, 10,000 of them for testing. Xiao et al. 2017."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.torchvision_files import download, mnist_files, read_mnist
from harness.plugin import DatasetSpec, DataSpec, ImageField, hookimpl

if TYPE_CHECKING:
    from harness.plugin import RawData

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    binarise: bool = False  # pixels of 0 and 1, drawn once with the grey value as the probability of 1


def describe(config: Config, root: Path) -> DataSpec[ImageField]:
    return DataSpec(inputs=ImageField(channels=1, size=28, mirror=True), classes=CLASSES)


def files(config: Config, root: Path) -> list[Path]:
    return mnist_files(root / "FashionMNIST" / "raw")


def load(config: Config, root: Path) -> RawData:
    from harness.data.binarisation import binarised
    from harness.plugin import RawData

    images, labels = read_mnist(root / "FashionMNIST" / "raw", "train")
    test_images, test_labels = read_mnist(root / "FashionMNIST" / "raw", "t10k")
    if config.binarise:
        images = binarised(images, "fashion-mnist", "train")
        test_images = binarised(test_images, "fashion-mnist", "t10k")
    return RawData(inputs=images, labels=labels, test=RawData(inputs=test_images, labels=test_labels))


def prepare(config: Config, root: Path) -> None:
    download("FashionMNIST", root, {})


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name="fashion-mnist",
        describe=describe,
        files=files,
        load=load,
        prepare=prepare,
        config=Config,
        source="Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; MIT",
    )
