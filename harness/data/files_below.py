"""Which files of a folder are images of a dataset. Hidden ones, runs and formats that nobody reads are left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.cleaned import is_plain, one_line
from harness.errors import RequestError

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
UNREAD = frozenset(
    {".arw", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".j2k", ".jp2", ".jxl", ".nef", ".orf", ".psd", ".raw", ".svg"}
)  # images too, which Pillow does not decode


@dataclass(frozen=True)
class Found:
    """The images below a folder, and how many of each kind were left out, by ending."""

    files: tuple[Path, ...]
    unread: Counter[str]
    runs: int = 0  # folders that are runs of Harness


def images_below(folder: Path) -> list[Path]:
    """All image files below `folder`, at any depth, through links too; see `found_below` for what is left out."""
    return list(found_below(folder).files)


def found_below(folder: Path, others: Iterable[Path] = ()) -> Found:
    """All image files below `folder`, at any depth, through links too; hidden files and folders are left out, and runs.

    A folder is entered once, however many links lead to it; a link that leads back up, or to one of the `others`, is
    not followed.
    """
    found: list[str] = []
    unread: Counter[str] = Counter()
    runs = 0
    entered = (above(folder) | set(map(identity, others))) - {identity(folder)}
    for parent, below, names in os.walk(folder, followlinks=True):
        where = identity(parent)
        if where in entered:
            below.clear()
            continue
        entered.add(where)
        if is_run(parent):
            runs += 1
            below.clear()
            continue
        below[:] = [name for name in below if not name.startswith(".")]
        below.sort(key=lambda name: (os.path.islink(os.path.join(parent, name)), name))  # a folder before its links
        for name in names:
            ending = os.path.splitext(name)[1].lower()
            if not name.startswith(".") and ending in SUFFIXES:
                found.append(os.path.join(parent, name))
            elif not name.startswith(".") and ending in UNREAD:
                unread[ending] += 1
    ordered = sorted(found, key=lambda file: file.split(os.sep))  # as paths are sorted
    return Found(tuple(map(Path, ordered)), unread, runs)


def is_run(folder: str | Path) -> bool:
    """Is it the folder of a run? Its pictures are no data."""
    return os.path.isdir(os.path.join(folder, "cells")) and os.path.isfile(os.path.join(folder, "request.toml"))


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in `folder`, through links too; not hidden ones, runs, nor a link that leads back up.

    Raises RequestError for a name that is no text.
    """
    over = above(folder)
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    names = sorted(entry.name for entry in found if identity(entry.path) not in over and not is_run(entry.path))
    for name in names:
        if not is_plain(name):
            raise RequestError(f"the folder '{one_line(name)}' in {folder} is no text in UTF-8 to be shown: rename it")
    return names


def identity(folder: str | Path) -> tuple[int, int]:
    """What a folder is, whatever it is called: its device and its inode."""
    stat = os.stat(folder)
    return stat.st_dev, stat.st_ino


def above(folder: Path) -> set[tuple[int, int]]:
    """The folder itself and all that it lies in, both as it is written and as it is once links are resolved."""
    paths = {folder.absolute(), folder.resolve()}
    return {identity(each) for path in paths for each in (path, *path.parents)}


def left_out(found: Counter[str]) -> Iterator[str]:
    """What a reader must know of images that were not read.

    >>> list(left_out(Counter({".heic": 3, ".svg": 1})))
    ['4 images of formats that are not read were left out (3 .heic, 1 .svg): convert them to PNG or JPEG']
    """
    if found:
        kinds = ", ".join(f"{n} {ending}" for ending, n in sorted(found.items()))
        unread = f"{found.total()} images of formats that are not read were left out ({kinds})"
        yield f"{unread}: convert them to PNG or JPEG"
