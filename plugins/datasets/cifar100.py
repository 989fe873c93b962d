"""CIFAR-100: 60,000 colour photos, 32x32, a hundred (fine) classes, 10,000 of them for testing. Krizhevsky 2009."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.torchvision_files import download, read_cifar
from harness.plugin import DatasetSpec, DataSpec, ImageField, NoConfig, hookimpl

if TYPE_CHECKING:
    from harness.plugin import RawData

FOLDER = "cifar-100-python"
TRAIN = ("train",)
TEST = "test"
NAMES = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
    flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
    motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
    poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
    squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
    wardrobe whale willow_tree wolf woman worm
"""
CLASSES = tuple(NAMES.split())


def describe(config: NoConfig, root: Path) -> DataSpec[ImageField]:
    return DataSpec(inputs=ImageField(channels=3, size=32, mirror=True), classes=CLASSES)


def files(config: NoConfig, root: Path) -> list[Path]:
    return [root / FOLDER / name for name in (*TRAIN, TEST)]


def load(config: NoConfig, root: Path) -> RawData:
    from harness.plugin import RawData

    images, labels = read_cifar([root / FOLDER / name for name in TRAIN], "fine_labels")
    test_images, test_labels = read_cifar([root / FOLDER / TEST], "fine_labels")
    return RawData(inputs=images, labels=labels, test=RawData(inputs=test_images, labels=test_labels))


def prepare(config: NoConfig, root: Path) -> None:
    download("CIFAR100", root, {})


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name="cifar100",
        describe=describe,
        files=files,
        load=load,
        prepare=prepare,
        source="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images; no licence stated",
    )
