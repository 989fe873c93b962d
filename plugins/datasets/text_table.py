"""A table of texts: `text-table[path=./reviews.csv,text=review,label=stars]`; .csv, .tsv, or .jsonl, an object a line.

Without a label column, `label=`, nothing is known of the texts and only what needs no labels can judge. The file is
UTF-8, or has a byte order mark, or is in the `encoding` that is named. Tokens are pieces of words, so that no language
and no spelling is unknown; the first `length` of a text are seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.text_files import LabelledTexts, check_encoding, read_table
from harness.plugin import DatasetSpec, DataSpec, TextField, hookimpl

if TYPE_CHECKING:
    from harness.plugin import RawData

NAME = "text-table"


@dataclass(frozen=True, kw_only=True)
class Config:
    path: Path = field(metadata={"changes_images": False})  # the file, seen from where the command runs
    text: str = "text"  # name of the column with the texts
    label: str = "label"  # name of the column with the classes; "": there is none
    length: int = 128  # tokens of a text; what is longer is cut
    pieces: int = 4096  # tokens of the vocabulary, by byte-pair encoding of the training split
    encoding: str = ""  # of the file, such as latin-1; none: UTF-8, or what a byte order mark says

    def __post_init__(self) -> None:
        if not self.text:
            raise ValueError("text names the column with the texts")
        if self.length < 2 or self.pieces < 258:
            raise ValueError("length must be at least 2, pieces at least 258, which are all bytes")
        check_encoding(self.encoding)


def _file(config: Config) -> Path:
    return config.path.expanduser().absolute()


def _read(config: Config) -> LabelledTexts:
    return read_table(_file(config), config.text, config.label, config.encoding, NAME)


def describe(config: Config, root: Path) -> DataSpec[TextField]:
    return DataSpec(inputs=TextField(length=config.length, pieces=config.pieces), classes=_read(config).classes)


def files(config: Config, root: Path) -> list[Path]:
    return [_file(config)]


def load(config: Config, root: Path) -> RawData:
    import torch

    from harness.plugin import RawData

    read = _read(config)
    return RawData(inputs=read.texts, labels=torch.tensor(read.labels) if read.classes else None)


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name=NAME, kind="text", describe=describe, files=files, load=load, config=Config, source="your own texts"
    )
