"""Any folder of class folders: `image-folder[path=./photos,size=64]`.

`photos/cat/1.jpg` and `photos/dog/x/2.png` are a cat and a dog. Where `photos/train/` and `photos/test/` hold the class
folders, `test/` is the official test set; otherwise Harness holds out a fifth. Images are turned upright, their short
side is resized to `size` with antialiasing, and the centre is cut out. What was decoded is kept in the cache folder.
With `in_memory=false`, for folders that do not fit into memory, images are decoded whenever they are needed instead:
the numbers are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.data.folder import Listing, images_of, list_images, require_memory
from harness.plugin import DatasetSpec, DataSpec, ImageField, hookimpl

if TYPE_CHECKING:
    from harness.plugin import RawData

NAME = "image-folder"


@dataclass(frozen=True, kw_only=True)
class Config:
    path: Path = field(metadata={"changes_images": False})  # the folder, seen from where the command runs
    size: int = 32  # height and width of an image in pixels, after resizing
    channels: Literal[1, 3] = 3  # 1 for grey, 3 for colour
    mirror: bool = field(default=False, metadata={"changes_images": False})  # may views of an image be mirrored?
    in_memory: bool = field(default=True, metadata={"changes_images": False})  # false: decoded on demand, by workers

    def __post_init__(self) -> None:
        if not 4 <= self.size <= 1024:
            raise ValueError(f"size={self.size}: expected 4 to 1024 pixels")


def _listing(config: Config) -> Listing:
    return list_images(config.path.expanduser().absolute())


def describe(config: Config, root: Path) -> DataSpec[ImageField]:
    listing = _listing(config)
    if config.in_memory:
        require_memory(len(listing.files) + len(listing.test_files), config.size, config.channels, NAME)
    return DataSpec(
        inputs=ImageField(channels=config.channels, size=config.size, mirror=config.mirror), classes=listing.classes
    )


def files(config: Config, root: Path) -> list[Path]:
    listing = _listing(config)
    return [*listing.files, *listing.test_files]


def load(config: Config, root: Path) -> RawData:
    import torch

    from harness.plugin import RawData

    listing = _listing(config)
    parts = (listing.files, listing.test_files)
    images, held_out = images_of(parts, config.size, config.channels, NAME, in_memory=config.in_memory)
    test = RawData(inputs=held_out, labels=torch.tensor(listing.test_labels)) if listing.has_test else None
    return RawData(inputs=images, labels=torch.tensor(listing.labels), test=test, note=listing.note)


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name=NAME,
        describe=describe,
        files=files,
        load=load,
        config=Config,
        source="your own images",
    )
