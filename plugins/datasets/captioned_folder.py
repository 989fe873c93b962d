"""Your own images with captions: `captioned-folder[path=./photos]`, with `captions.csv` or `captions.jsonl` inside.

    file,caption,label,split                    {"file": "a.png", "caption": "a red kite", "label": "kite"}
    a.png,"a red kite, high up",kite,train

`file` is seen from the folder of the captions. A column `label` gives classes. The rows whose `split` is `test` are the
official test set; or `photos/train/` and `photos/test/` hold images and captions each. Otherwise Harness holds out a
fifth. Every image has one caption: of several, choose one. Images are read as `image-folder` reads them, those that do
not fit into memory (`in_memory=false`) too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.data.caption_files import CaptionedImage, captions_file, read_captions
from harness.data.folder import images_of, require_memory
from harness.plugin import DatasetMissing, DatasetSpec, DataSpec, ImageField, RequestError, TextField, hookimpl

if TYPE_CHECKING:
    from torch import Tensor

    from harness.data.columns import Files
    from harness.plugin import RawData

NAME = "captioned-folder"


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


def _tables(config: Config) -> list[Path]:
    """The file of captions; or that of the training images and that of the test images."""
    folder = config.path.expanduser().absolute()
    whole = captions_file(folder)
    if whole is not None:
        return [whole]
    train, test = captions_file(folder / "train"), captions_file(folder / "test")
    if train is None or test is None:
        raise DatasetMissing(
            f"{folder} has no captions.csv and no captions.jsonl, nor have train/ and test/ in it: "
            "write a line with file and caption for each image"
        )
    return [train, test]


def _rows(config: Config) -> tuple[list[CaptionedImage], list[CaptionedImage]]:
    """Training and test rows; no test rows if there is no official test set."""
    tables = [read_captions(table) for table in _tables(config)]
    if len(tables) == 1:
        train, test = ([row for row in tables[0] if row.split == part] for part in ("train", "test"))
        if not train:
            raise RequestError(f"{config.path} has test rows only: give some rows the split train")
    else:
        train, test = tables
    if len({bool(row.label) for row in (*train, *test)}) > 1:
        raise RequestError(f"{config.path} has labels in one of train/ and test/ only: add or remove them")
    return train, test


def _classes(rows: tuple[list[CaptionedImage], list[CaptionedImage]]) -> tuple[str, ...]:
    return tuple(sorted({row.label for part in rows for row in part if row.label}))


def describe(config: Config, root: Path) -> DataSpec[ImageField]:
    rows = _rows(config)
    if config.in_memory:
        require_memory(sum(map(len, rows)), config.size, config.channels, NAME)
    classes = _classes(rows)
    return DataSpec(
        inputs=ImageField(channels=config.channels, size=config.size, mirror=config.mirror),
        classes=classes,
        captions=TextField(),
    )


def files(config: Config, root: Path) -> list[Path]:
    train, test = _rows(config)
    return [*_tables(config), *(row.file for row in (*train, *test))]


def load(config: Config, root: Path) -> RawData:
    from dataclasses import replace

    rows = _rows(config)
    classes = _classes(rows)
    parts = [[row.file for row in part] for part in rows]
    images = images_of(parts, config.size, config.channels, NAME, in_memory=config.in_memory)
    train, test = (_part(part, inputs, classes) for part, inputs in zip(rows, images, strict=True))
    return replace(train, test=test if rows[1] else None)


def _part(rows: list[CaptionedImage], images: Tensor | Files, classes: tuple[str, ...]) -> RawData:
    import torch

    from harness.plugin import RawData

    labels = torch.tensor([classes.index(row.label) for row in rows], dtype=torch.int64) if classes else None
    return RawData(inputs=images, labels=labels, captions=[row.caption for row in rows])


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name=NAME,
        describe=describe,
        files=files,
        load=load,
        config=Config,
        source="your own images and captions",
    )
