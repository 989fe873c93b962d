"""CIFAR-10: 60,000 colour photos, 32x32, ten classes, 10,000 of them for testing. Krizhevsky 2009."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.torchvision_files import download, read_cifar
from harness.plugin import DatasetSpec, DataSpec, ImageField, NoConfig, hookimpl

if TYPE_CHECKING:
    from harness.plugin import RawData

FOLDER = "cifar-10-batches-py"
TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = "test_batch"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def describe(config: NoConfig, root: Path) -> DataSpec[ImageField]:
    return DataSpec(inputs=ImageField(channels=3, size=32, mirror=True), classes=CLASSES)


def files(config: NoConfig, root: Path) -> list[Path]:
    return [root / FOLDER / name for name in (*TRAIN, TEST)]


def load(config: NoConfig, root: Path) -> RawData:
    from harness.plugin import RawData

    images, labels = read_cifar([root / FOLDER / name for name in TRAIN], "labels")
    test_images, test_labels = read_cifar([root / FOLDER / TEST], "labels")
    return RawData(inputs=images, labels=labels, test=RawData(inputs=test_images, labels=test_labels))


def prepare(config: NoConfig, root: Path) -> None:
    download("CIFAR10", root, {})


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name="cifar10",
        describe=describe,
        files=files,
        load=load,
        prepare=prepare,
        source="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images; no licence stated",
    )
