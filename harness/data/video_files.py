"""Films in folders: .mp4, .avi and others with PyAV, .gif with Pillow, folders of frames, .npz; as clips of T frames.

A film is a file, or a folder that holds images; one of them gives no clip, one, or several that begin `stride` frames
apart. Frames are treated as the images of `image-folder`: the short side is resized, the centre cut out.

n frames of a film, T of a clip, C channels, H=W=size pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.folder import SPLIT_NAMES, SUFFIXES, centre_cut, decode_image, subfolders
from harness.errors import DatasetMissing, RequestError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import Tensor

FILMS = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})  # what PyAV reads
MOVING = FILMS | {".gif", ".npz"}
STILL = SUFFIXES - {".gif"}  # what the images of a folder of frames are
SHOWN = 3  # films that an error message names
UNTOLD = 0.1  # seconds that a frame of a GIF is shown which says 0, as in browsers


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Which frames of a film are clips, and what they look like."""

    frames: int  # T
    rate: float  # frames a second that are taken; 0: all
    stride: int  # frames from the beginning of one clip to that of the next; 0: one clip, from the middle of the film
    size: int  # H = W, in pixels
    channels: int

    def begins(self, count: int) -> list[int]:
        """Where clips begin in a film of so many frames.

        >>> Cut(frames=4, rate=0, stride=3, size=8, channels=1).begins(11)
        [0, 3, 6]
        """
        if self.stride == 0:
            return [(count - self.frames) // 2]
        return list(range(0, count - self.frames + 1, self.stride))


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
    """All films below `folder`, at any depth: files, and folders that hold images; hidden ones are left out."""
    found: list[Path] = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_file() and entry.suffix.lower() in MOVING:
            found.append(entry)
        elif entry.is_dir():
            found += [entry] if frames_of(entry) else films_below(entry)
    return found


def frames_of(folder: Path) -> list[Path]:
    """The images of a folder of frames, by name: numbers in the names need leading zeros."""
    files = (entry for entry in folder.iterdir() if entry.suffix.lower() in STILL and not entry.name.startswith("."))
    return sorted(file for file in files if file.is_file())


def decode_films(films: Sequence[Path], cut: Cut, owner: str) -> tuple[Tensor, Tensor]:
    """The clips of all films, uint8 (N,T,C,H,W), and of which film each is, int64 (N,).

    Raises one RequestError that counts all films that cannot be used, and says why of the first ones.
    """
    import torch

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
    return torch.stack([torch.from_numpy(clip) for clip in clips]), torch.tensor(rows)


def _reason(error: Exception) -> str:
    """In one short line; PyAV's messages name the file again."""
    text = str(error).split(": '")[0] if "Errno" in str(error) else str(error)
    return " ".join(text.split())[:100] or type(error).__name__


def clips_of(film: Path, cut: Cut) -> list[np.ndarray]:
    """The clips of one film: uint8 (T,C,H,W) each. Raises ValueError where it has too few frames."""
    import numpy as np

    frames, times = read_film(film, cut)
    if cut.rate:
        if times is None:
            raise ValueError(f"its frames have no times to take rate={cut.rate:g} a second by: leave rate=0")
        frames = [frames[place] for place in at_rate(times, cut.rate)]
    if len(frames) < cut.frames:
        count = f"{len(frames)} frame{'' if len(frames) == 1 else 's'}"
        raise ValueError(f"it has {count}{f' at rate={cut.rate:g}' if cut.rate else ''}, frames={cut.frames} are asked")
    return [np.stack(frames[begin : begin + cut.frames]) for begin in cut.begins(len(frames))]


def at_rate(times: Sequence[float], rate: float) -> list[int]:
    """Which frames are seen at 0, 1/rate, 2/rate ... seconds after the first: the last that has begun by then.

    >>> at_rate([0.0, 0.1, 0.2, 0.3], 5), at_rate([0.0, 0.1], 20)
    ([0, 2], [0, 0, 1])
    """
    import numpy as np

    begun = np.asarray(times) - times[0]
    ticks = np.arange(int(begun[-1] * rate + 1e-6) + 1) / rate
    return (np.searchsorted(begun, ticks + 1e-6, side="right") - 1).tolist()


def read_film(film: Path, cut: Cut) -> tuple[list[np.ndarray], list[float] | None]:
    """All frames of a film, uint8 (C,H,W) each, and when each begins in seconds, where that is known."""
    if film.is_dir():
        return [decode_image(file, cut.size, cut.channels) for file in frames_of(film)], None
    if film.stat().st_size == 0:
        raise ValueError("it is empty")
    reader = {".gif": _read_gif, ".npz": _read_arrays}.get(film.suffix.lower(), _read_stream)
    return reader(film, cut)


def _read_stream(film: Path, cut: Cut) -> tuple[list[np.ndarray], list[float] | None]:
    try:
        import av
    except ImportError:
        raise RequestError(f"{film} is read with PyAV, which is not there: `pip install 'harness[video]'`") from None
    av.logging.set_level(av.logging.PANIC)  # what is wrong is said by what it raises
    frames, times = [], []
    with av.open(str(film)) as container:
        if not container.streams.video:
            raise ValueError("it holds no pictures")
        pace = float(container.streams.video[0].average_rate or 25)
        for place, frame in enumerate(container.decode(video=0)):
            frames.append(_pixels(frame.to_image(), cut))
            times.append(place / pace if frame.time is None else frame.time)
    return frames, times


def _read_gif(film: Path, cut: Cut) -> tuple[list[np.ndarray], list[float] | None]:
    from PIL import Image, ImageSequence

    frames, times, now = [], [], 0.0
    with Image.open(film) as opened:
        for frame in ImageSequence.Iterator(opened):
            frames.append(_pixels(frame.convert("RGBA"), cut))
            times.append(now)
            now += frame.info.get("duration", 0) / 1000 or UNTOLD
    return frames, times


def _read_arrays(film: Path, cut: Cut) -> tuple[list[np.ndarray], list[float] | None]:
    import numpy as np
    from PIL import Image

    with film.open("rb") as file, np.load(file) as arrays:
        if len(arrays.files) != 1 and "frames" not in arrays.files:
            raise ValueError(
                f"it holds {', '.join(arrays.files) or 'nothing'}: expected one array, or one called frames"
            )
        values = arrays["frames" if "frames" in arrays.files else arrays.files[0]]
    if values.dtype != np.uint8 or values.ndim not in (3, 4) or (values.ndim == 4 and values.shape[3] not in (1, 3)):
        raise ValueError(f"it holds {values.dtype} {values.shape}: expected uint8 (n,H,W), (n,H,W,1) or (n,H,W,3)")
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    return [_pixels(Image.fromarray(frame), cut) for frame in values], None


def _pixels(image: Image, cut: Cut) -> np.ndarray:
    """uint8 (C,H,W), as harness.data.folder makes them."""
    import numpy as np

    pixels = np.asarray(centre_cut(image.convert("L" if cut.channels == 1 else "RGB"), cut.size))
    return pixels[None] if cut.channels == 1 else pixels.transpose(2, 0, 1)
