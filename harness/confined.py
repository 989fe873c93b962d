"""Files that stay where they belong: what a plugin or a stranger's run names is below one folder, and is no link.

A folder itself may be reached through links; what lies in it may not lead out of it again.
"""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from harness.cleaned import is_plain, one_line
from harness.errors import HarnessError

LONGEST = 200  # bytes of one name


class Outside(HarnessError):
    """A name that leads out of its folder, or to something that is no file of its own."""


def inside(folder: Path, name: str) -> Path:
    """`folder / name`, where that is below the folder with no link on the way. It need not exist.

    Raises Outside for absolute names, `..`, links, and names that no file system has.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith(("/", "\\")) or not all(map(_is_a_name, parts)) or name.endswith("/"):
        raise Outside(f"'{one_line(name)[:LONGEST]}' is no name of a file below {folder}")
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise Outside(f"{path} is a link, and a run keeps its files to itself")
    return path


def placed(folder: Path, name: str) -> Path:
    """`inside`, and where that raises a path at which there is nothing."""
    try:
        return inside(folder, name)
    except Outside:
        return folder / "nothing" / "outside of the run"


def _is_a_name(part: str) -> bool:
    return part not in (".", "..") and is_plain(part) and "\\" not in part and len(os.fsencode(part)) <= LONGEST


def is_file(path: Path) -> bool:
    """Is it a file itself, no link, folder, pipe or device?"""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def read_inside(folder: Path, name: str, most: int) -> bytes:
    """The content of a file below `folder`.

    Raises Outside where it is none of the folder's or larger than `most` bytes, and FileNotFoundError.
    """
    path = inside(folder, name)
    if not path.exists():
        raise FileNotFoundError(path)
    if not is_file(path):
        raise Outside(f"{path} is no file")
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise Outside(f"{path} is larger than {most / 2**20:g} MiB")
    return content


def files_below(folder: Path) -> Iterator[str]:
    """The files in a folder and in those inside it, as names seen from it, sorted; links are none, nor is what they
    lead to.
    """
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if is_file(path):
                yield path.relative_to(folder).as_posix()


def own_folder(path: Path) -> Path:
    """Make a folder at `path`, in the place of a link or a file that has taken it. What a link leads to stays."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        path.unlink()
    path.mkdir(exist_ok=True)
    return path


def own_place(path: Path) -> Path:
    """A path that a file can be renamed to: a folder that has taken it is put aside under another name."""
    if path.is_dir() and not path.is_symlink():
        path.rename(path.with_name(f"{path.name}.aside-{uuid.uuid4().hex[:8]}"))
    return path


def moved_files(source: Path, target: Path) -> list[str]:
    """Move every file below `source` to the same name below `target`; the names. Links and their like are left."""
    moved = []
    for name in files_below(source):
        home = target
        for part in PurePosixPath(name).parts[:-1]:
            home = own_folder(home / part)
        os.replace(source / name, own_place(target / name))
        moved.append(name)
    return moved


def removed(path: Path) -> None:
    """Remove a file, a link (not what it leads to) or a folder of a run; nothing where there is none."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)
