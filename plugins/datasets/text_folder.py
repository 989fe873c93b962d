"""Any folder of class folders of texts: `text-folder[path=./mails]`. `mails/spam/1.txt` is spam.

Files are UTF-8, or have a byte order mark, or are all in the `encoding` that is named. Tokens are pieces of words, so
that no language and no spelling is unknown; the first `length` of a text are seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.text_files import check_encoding, list_texts, read_folder
from harness.plugin import DatasetSpec, DataSpec, TextField, hookimpl

if TYPE_CHECKING:
    from harness.plugin import RawData

NAME = "text-folder"


@dataclass(frozen=True, kw_only=True)
class Config:
    path: Path = field(metadata={"changes_images": False})  # the folder, seen from where the command runs
    length: int = 128  # tokens of a text; what is longer is cut
    pieces: int = 4096  # tokens of the vocabulary, by byte-pair encoding of the training split
    encoding: str = ""  # of all files, such as latin-1; none: UTF-8, or what a byte order mark says

    def __post_init__(self) -> None:
        if self.length < 2 or self.pieces < 258:
            raise ValueError("length must be at least 2, pieces at least 258, which are all bytes")
        check_encoding(self.encoding)


def _folder(config: Config) -> Path:
    return config.path.expanduser().absolute()


def describe(config: Config, root: Path) -> DataSpec[TextField]:
    read = read_folder(_folder(config), config.encoding, NAME)  # all files, so that a bad one is said before any cell
    return DataSpec(inputs=TextField(length=config.length, pieces=config.pieces), classes=read.classes)


def files(config: Config, root: Path) -> list[Path]:
    return [file for file, _ in list_texts(_folder(config))[1]]


def load(config: Config, root: Path) -> RawData:
    import torch

    from harness.plugin import RawData

    read = read_folder(_folder(config), config.encoding, NAME)
    return RawData(inputs=read.texts, labels=torch.tensor(read.labels))


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name=NAME, kind="text", describe=describe, files=files, load=load, config=Config, source="your own texts"
    )
