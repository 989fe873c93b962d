"""The files that a cell has made so far, in its staging folder: code of others may change none that is not its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from harness.confined import is_file, removed
from harness.errors import HarnessError
from harness.plugin.launching import WEIGHTS
from harness.sealed import file_checksum

MOST = 64 * 2**20  # bytes of a file that is kept to be put back


class Made:
    """What lies in the folder before an evaluation, and is put back after it.

    weights: the checksum of the method's weights; "" where no file here has them. again: writes them anew.
    """

    def __init__(self, folder: Path, weights: str, again: Callable[[], None]) -> None:
        self.folder = folder
        self.weights = weights
        self.again = again
        self._kept: dict[str, bytes | str] = {}  # the content, or where that is long its checksum, by the name

    def begin(self, own: Path) -> None:
        """Remember all files but those of the folder of the evaluation that begins."""
        names = {name for name in _files(self.folder) if not (self.folder / name).is_relative_to(own)} - {WEIGHTS}
        self._kept = {name: self._kept[name] if name in self._kept else self._read(name) for name in names}
        if self.weights and (self.folder / WEIGHTS).exists():
            self._kept[WEIGHTS] = self.weights

    def changed(self) -> list[str]:
        """The names of files that are no longer what they were; put back, as far as that is possible."""
        found = []
        for name, content in self._kept.items():
            try:
                if self._is(name, content):
                    continue
                self._put_back(name, content)
                if not self._is(name, content):  # weights that were changed in memory, too: none are better than these
                    removed(self.folder / name)
            except (OSError, HarnessError) as error:  # no file can be opened here: it may be what it was
                print(f"{name} could not be read or put back: {error}")  # into the cell's log
            found.append(name)
        return sorted(found)

    def _read(self, name: str) -> bytes | str:
        file = self.folder / name
        return file_checksum(file) if file.stat().st_size > MOST else file.read_bytes()

    def _is(self, name: str, content: bytes | str) -> bool:
        file = self.folder / name
        if any(place.is_symlink() for place in (file, *file.parents) if place.is_relative_to(self.folder)):
            return False
        return is_file(file) and (file_checksum(file) if isinstance(content, str) else file.read_bytes()) == content

    def _put_back(self, name: str, content: bytes | str) -> None:
        place = self.folder
        for part in ("", *PurePosixPath(name).parts[:-1]):
            place = place / part
            if place.is_symlink() or not place.is_dir():
                removed(place)
                place.mkdir()
        removed(self.folder / name)
        if isinstance(content, bytes):
            (self.folder / name).write_bytes(content)
        elif name == WEIGHTS:
            self.again()


def _files(folder: Path) -> Iterator[str]:
    """The names of all files below a folder, links not followed."""
    for place, _, files in os.walk(folder):
        paths = (Path(place, file) for file in files)
        yield from (path.relative_to(folder).as_posix() for path in paths if is_file(path))
