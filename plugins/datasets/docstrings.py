"""English documentation of packages that Harness depends on: real texts, there wherever Harness is. Which package?

What docstrings say in sentences; signatures, tables of parameters, examples, code and formulas are left out, and so
are texts that are almost another one, so that no split shows what another one holds. The sources are read, nothing is
imported. The first use takes about a minute, then the texts are kept in the cache folder. They follow the installed
versions: runs on other versions are of another dataset, by its fingerprint.
A text may name its package; what is read from that is no less read from the text.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.cache import cache_root, read_kept, write_kept
from harness.plugin import DatasetMissing, DatasetSpec, DataSpec, TextField, hookimpl

if TYPE_CHECKING:
    from harness.plugin import RawData

NAME = "docstrings"
PACKAGES = {
    "matplotlib": "matplotlib",
    "networkx": "networkx",
    "numpy": "numpy",
    "pandas": "pandas",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "sympy": "sympy",
    "torch": "torch",
}  # distribution: the folder of its sources
READING = 1  # to be raised with every change that changes texts: they are kept by it
SPARE = 2  # times as many documents are read as are kept, since some are almost others

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Config:
    each: int = 1500  # documents of each package, at most
    length: int = 64  # tokens of a text; what is longer is cut
    pieces: int = 2048  # tokens of the vocabulary, by byte-pair encoding of the training split
    fewest: int = 12  # words of a document

    def __post_init__(self) -> None:
        if self.each < 20 or self.fewest < 1:
            raise ValueError("each must be at least 20, fewest at least 1")
        if self.length < 2 or self.pieces < 258:
            raise ValueError("length must be at least 2, pieces at least 258, which are all bytes")


def describe(config: Config, root: Path) -> DataSpec[TextField]:
    return DataSpec(inputs=TextField(length=config.length, pieces=config.pieces), classes=tuple(PACKAGES))


def files(config: Config, root: Path) -> list[Path]:
    """What each distribution says of itself, its version among it: the same on every machine that has it."""
    return [_metadata(name) for name in PACKAGES]


def _metadata(name: str) -> Path:
    try:
        found = distribution(name)
    except PackageNotFoundError:
        raise DatasetMissing(f"dataset '{NAME}' reads the sources of {name}, which is not installed") from None
    home = Path(str(found.locate_file("")))
    called = f"{name.replace('-', '_')}-{found.version}.dist-info"
    same = (path for path in home.glob("*.dist-info") if path.name.lower() == called.lower())
    return next(same, home / called) / "METADATA"


def load(config: Config, root: Path) -> RawData:
    import torch

    from harness.plugin import RawData

    by_package = _kept(config)
    labels = [label for label, texts in enumerate(by_package) for _ in texts]
    return RawData(inputs=[text for texts in by_package for text in texts], labels=torch.tensor(labels))


def _kept(config: Config) -> list[list[str]]:
    """The texts of each package, from the cache if they are there."""
    from harness.data.content import content_fingerprint

    key = content_fingerprint(files(config, Path()), f"{NAME} {READING} {config.each} {config.fewest}")
    path = cache_root() / NAME / f"{key}.json"
    kept = read_kept(path)
    if kept is not None:
        return kept["texts"]
    texts = read_packages(config)
    try:
        write_kept(path, {"texts": texts})
    except OSError as error:
        logger.warning("%s cannot be kept (%s): set HARNESS_CACHE", path, error)
    return texts


def read_packages(config: Config) -> list[list[str]]:
    """The documents of each package that are near no other document of any."""
    from harness.data.near_duplicates import unlike_before

    found = [read_package(name, SPARE * config.each, config.fewest) for name in PACKAGES]
    kept = iter(unlike_before([text for texts in found for text in texts]).tolist())
    return [[text for text in texts if next(kept)][: config.each] for texts in found]


def read_package(name: str, most: int, fewest: int) -> list[str]:
    """Documents of a package's sources, whose files are read in an order that is drawn once and for all."""
    from harness.data.docstrings import documents, sources_below

    folder = Path(str(distribution(name).locate_file(PACKAGES[name])))
    texts: list[str] = []
    for file in sorted(sources_below(folder), key=lambda file: _drawn(str(file.relative_to(folder)))):
        texts += documents(file, fewest=fewest)
        if len(texts) >= most:
            break
    return texts[:most]


def _drawn(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=8).digest()


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name=NAME,
        kind="text",
        describe=describe,
        files=files,
        load=load,
        config=Config,
        source="the installed packages, under their own licences",
    )
