"""MNIST: 70,000 handwritten digits, 28x28 grey, 10,000 of them for testing. LeCun et al. 1998."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.torchvision_files import download, mnist_files, read_mnist
from harness.hookspecs import hookimpl
from harness.records import ImageSpec
from harness.specs import DatasetSpec, NoConfig

if TYPE_CHECKING:
    from harness.data.images import RawImages

CLASSES = tuple("0123456789")


def describe(config: NoConfig, root: Path) -> ImageSpec:
    return ImageSpec(channels=1, size=28, classes=CLASSES)


def files(config: NoConfig, root: Path) -> list[Path]:
    return mnist_files(root / "MNIST" / "raw")


def load(config: NoConfig, root: Path) -> RawImages:
    from harness.data.images import RawImages

    images, labels = read_mnist(root / "MNIST" / "raw", "train")
    test_images, test_labels = read_mnist(root / "MNIST" / "raw", "t10k")
    return RawImages(images=images, labels=labels, test=RawImages(images=test_images, labels=test_labels))


def prepare(config: NoConfig, root: Path) -> None:
    download("MNIST", root, {})


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name="mnist",
        describe=describe,
        files=files,
        load=load,
        prepare=prepare,
        source="LeCun, Bottou, Bengio and Haffner 1998, doi:10.1109/5.726791; CC BY-SA 3.0 as commonly stated",
    )
