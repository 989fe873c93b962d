"""Your own pairs of images, for translation: `paired-folder[path=./edges2shoes]`, with equal file names in A/ and B/.

The layout is that of pix2pix: `A/1.png` and `B/1.png` are a pair; or, with an official test set, `A/train/1.png` and
`B/train/1.png`, `A/test/2.png` and `B/test/2.png`. Without it, Harness holds out a fifth. Translation goes from A to B:
the images are those of B, which everything else is about, and their paired images are those of A; `direction=b-to-a`
turns it round. Images are read as `image-folder` reads them, both of a pair alike, and with `in_memory=false` when they
are needed. Isola et al. 2017, arXiv:1611.07004.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.data.files_below import images_below, subfolders
from harness.data.folder import SPLIT_NAMES, images_of, require_memory, resized_long
from harness.plugin import DatasetMissing, DatasetSpec, DataSpec, ImageField, RequestError, hookimpl

if TYPE_CHECKING:
    from harness.plugin import RawData

NAME = "paired-folder"
SHOWN = 3  # files that an error message names

Pairs = list[tuple[Path, Path]]  # (paired image, image)


@dataclass(frozen=True, kw_only=True)
class Config:
    path: Path = field(metadata={"changes_images": False})  # the folder, seen from where the command runs
    size: int = 32  # height and width of an image in pixels, after resizing
    channels: Literal[1, 3] = 3  # 1 for grey, 3 for colour
    mirror: bool = field(default=False, metadata={"changes_images": False})  # may views of an image be mirrored?
    direction: Literal["a-to-b", "b-to-a"] = "a-to-b"  # from paired images to images
    in_memory: bool = field(default=True, metadata={"changes_images": False})  # false: decoded on demand, by workers

    def __post_init__(self) -> None:
        if not 4 <= self.size <= 1024:
            raise ValueError(f"size={self.size}: expected 4 to 1024 pixels")

    @property
    def domains(self) -> tuple[str, str]:
        """The folders of the paired images and of the images."""
        return ("A", "B") if self.direction == "a-to-b" else ("B", "A")


def _pairs(config: Config) -> tuple[Pairs, Pairs]:
    """Training and test pairs; no test pairs if there is no official test set."""
    folder = config.path.expanduser().absolute()
    for name in ("A", "B"):
        if not (folder / name).is_dir():
            raise DatasetMissing(f"there is no folder {folder / name}: name a folder with A/ and B/ in it")
    inside = {name: subfolders(folder / name) for name in ("A", "B")}
    if all({"train", "test"} <= set(names) for names in inside.values()):
        return _matched(folder, config, "train"), _matched(folder, config, "test")
    odd = sorted({name for names in inside.values() for name in names if name.lower() in SPLIT_NAMES})
    if odd:
        raise RequestError(f"{folder} has {', '.join(odd)} in A/ or B/: put train and test into both, or none of them")
    return _matched(folder, config, ""), []


def _matched(folder: Path, config: Config, part: str) -> Pairs:
    """The pairs in the folders `part` of A and B, sorted by name."""
    source, target = (_by_name(folder / name / part) for name in config.domains)
    alone = [(source | target)[name] for name in source.keys() ^ target.keys()]
    if alone:
        named = ", ".join(sorted(str(file.relative_to(folder)) for file in alone)[:SHOWN])
        more = f" and {len(alone) - SHOWN} more" if len(alone) > SHOWN else ""
        raise RequestError(
            f"{folder}: {len(alone)} images have no partner of the same name, add it or remove {named}{more}"
        )
    if not source:
        raise RequestError(
            f"{folder} has no images in {' and '.join(str(Path(name) / part) for name in 'AB')}: add some"
        )
    return [(source[key], target[key]) for key in sorted(source)]


def _by_name(folder: Path) -> dict[str, Path]:
    """All images below `folder` by their path in it."""
    return {file.relative_to(folder).as_posix(): file for file in images_below(folder)}


def describe(config: Config, root: Path) -> DataSpec[ImageField]:
    if config.in_memory:
        require_memory(len(files(config, root)), config.size, config.channels, NAME)
    return DataSpec(
        inputs=ImageField(channels=config.channels, size=config.size, mirror=config.mirror),
        paired_domain=config.domains[0],
    )


def files(config: Config, root: Path) -> list[Path]:
    return [file for part in _pairs(config) for pair in part for file in pair]


def load(config: Config, root: Path) -> RawData:
    train, test = _pairs(config)
    _check_proportions([*train, *test], config)
    return _loaded(train, config, _loaded(test, config) if test else None)


def _check_proportions(pairs: Pairs, config: Config) -> None:
    """The short side is resized and the centre cut out: of a wide and a tall image these are not the same part."""
    odd = [
        image
        for partner, image in pairs
        if abs(resized_long(partner, config.size) - resized_long(image, config.size)) > 1
    ]
    if odd:
        folder = config.path.expanduser().absolute()
        named = ", ".join(str(file.relative_to(folder)) for file in odd[:SHOWN])
        more = f" and {len(odd) - SHOWN} more" if len(odd) > SHOWN else ""
        raise RequestError(
            f"{folder}: {len(odd)} of {len(pairs)} pairs have images of different proportions, of which other parts "
            f"would be cut out: crop both alike, {named}{more}"
        )


def _loaded(pairs: Pairs, config: Config, test: RawData | None = None) -> RawData:
    from harness.plugin import RawData

    parts = tuple(zip(*pairs, strict=True))
    paired, images = images_of(parts, config.size, config.channels, NAME, in_memory=config.in_memory)
    return RawData(inputs=images, paired=paired, test=test)


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name=NAME,
        describe=describe,
        files=files,
        load=load,
        config=Config,
        source="your own pairs of images",
    )
