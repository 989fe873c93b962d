"""Films in class folders: listing them, and all their clips, kept in the cache folder.

A film is a file, or a folder that holds images (harness.data.video_decoding). One that cannot be used is named.

N clips, T frames of a clip, C channels, H=W=size pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.files_below import subfolders
from harness.data.folder import DECODING, SPLIT_NAMES
from harness.data.video_decoding import FILMS, MOVING, Cut, clips_of, frames_of
from harness.errors import DatasetMissing, RequestError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

CUTTING = 1  # to be raised with every change here that changes clips or their order: they are kept by it
SHOWN = 3  # films that an error message names


@dataclass(frozen=True, kw_only=True)
class Films:
    """The films of a folder of class folders, sorted by class and name."""

    classes: tuple[str, ...]
    films: tuple[Path, ...]  # files, or folders of frames
    labels: tuple[int, ...]

    @property
    def files(self) -> list[Path]:
        """All files that they are made of."""
        return [file for film in self.films for file in (frames_of(film) if film.is_dir() else [film])]


def list_films(folder: Path) -> tuple[Films, Films | None]:
    """The films of class folders in `folder`, or those of `train/` and of `test/`, with the same classes in both."""
    if not folder.is_dir():
        raise DatasetMissing(f"there is no folder {folder}: name a folder with one sub-folder per class")
    names = subfolders(folder)
    if {"train", "test"} <= set(names):
        train, test = _labelled(folder / "train"), _labelled(folder / "test")
        if train.classes != test.classes:
            odd = sorted(set(train.classes) ^ set(test.classes))[0]
            raise RequestError(f"{folder}: class '{odd}' is in one of train/ and test/ only: add or remove it")
        return train, test
    if names and {name.lower() for name in names} <= SPLIT_NAMES:
        raise RequestError(
            f"{folder} has the folders {', '.join(names)}: call them train and test, or name one of them"
        )
    return _labelled(folder), None


def _labelled(folder: Path) -> Films:
    classes = subfolders(folder)
    if not classes:
        raise DatasetMissing(f"{folder} has no class folders: put the films of each class into a folder of its own")
    found = [(film, label) for label, name in enumerate(classes) for film in films_below(folder / name)]
    empty = set(range(len(classes))) - {label for _, label in found}
    if empty:
        known = ", ".join(sorted(MOVING))
        raise RequestError(
            f"class folder {folder / classes[min(empty)]} has no films ({known}) and no folders of frames: "
            "remove or fill it"
        )
    return Films(
        classes=tuple(classes), films=tuple(film for film, _ in found), labels=tuple(label for _, label in found)
    )


def films_below(folder: Path) -> list[Path]:
    """All films below `folder`, at any depth: files, and folders that hold images; hidden ones are left out.

    A folder that holds films of its own, at any depth, is none: images beside them are their previews. A link that
    leads back up is not followed.
    """
    found = [
        entry
        for entry in folder.iterdir()
        if entry.suffix.lower() in MOVING and not entry.name.startswith(".") and entry.is_file()
    ]
    for name in subfolders(folder):
        below = folder / name
        found += films_below(below) or ([below] if frames_of(below) else [])
    return sorted(found)


def cached_films(films: Sequence[Path], cut: Cut, owner: str) -> tuple[Tensor, Tensor]:
    """As `decode_films`, decoded at most once for the same content, the same cut and the same decoders."""
    import numpy as np
    import PIL
    import torch

    from harness.data.cache import cached_arrays
    from harness.data.content import content_fingerprint, in_order, written_out

    paths = in_order(films)  # as in the fingerprint, so that the order of the clips follows from the key
    files = [file for film in paths for file in (frames_of(film) if film.is_dir() else [film])]
    salt = f"films {CUTTING} {DECODING} {cut} Pillow {PIL.__version__} PyAV {_installed_pyav(paths)}"

    def fits(kept: tuple[np.ndarray, ...]) -> bool:
        clips, rows = kept
        shape = (len(rows), cut.frames, cut.channels, cut.size, cut.size)
        whole = clips.dtype == np.uint8 and clips.shape == shape
        return whole and rows.dtype == np.int64 and set(rows.tolist()) == set(range(len(paths)))

    clips, rows = cached_arrays(
        f"decoded/{content_fingerprint(files, salt)}.npy", 2, fits, lambda: decode_films(paths, cut, owner)
    )
    place = {path: row for row, path in enumerate(paths)}
    of_film = [np.flatnonzero(rows == place[written_out(film)]) for film in films]
    chosen = np.concatenate(of_film)
    return torch.from_numpy(clips[chosen]), torch.arange(len(films)).repeat_interleave(
        torch.tensor([len(of) for of in of_film])
    )


def _installed_pyav(films: Sequence[Path]) -> str:
    """Its version, where a film needs it."""
    from importlib.metadata import PackageNotFoundError, version

    if not any(film.suffix.lower() in FILMS for film in films):
        return "unused"
    try:
        return version("av")
    except PackageNotFoundError:
        return "missing"


def decode_films(films: Sequence[Path], cut: Cut, owner: str) -> tuple[np.ndarray, np.ndarray]:
    """The clips of all films, uint8 (N,T,C,H,W), and of which film each is, int64 (N,).

    Raises one RequestError that counts all films that cannot be used, and says why of the first ones.
    """
    import numpy as np

    clips, rows, failures = [], [], []
    for row, film in enumerate(films):
        try:
            found = clips_of(film, cut)
        except RequestError:
            raise
        except Exception as error:  # decoders raise whatever they like on damaged files; all are reported together
            failures.append(f"{film} ({_reason(error)})")
            continue
        clips += found
        rows += [row] * len(found)
    if failures:
        more = f" and {len(failures) - SHOWN} more" if len(failures) > SHOWN else ""
        raise RequestError(
            f"{owner}: {len(failures)} of {len(films)} films cannot be used: remove or replace "
            f"{', '.join(failures[:SHOWN])}{more}"
        )
    return np.stack(clips), np.array(rows, dtype=np.int64)


def _reason(error: Exception) -> str:
    """In one short line; PyAV's messages name the file again."""
    text = str(error).split(": '")[0] if "Errno" in str(error) else str(error)
    return " ".join(text.split())[:100] or type(error).__name__
