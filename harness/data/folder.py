"""Image files in folders, read with Pillow: listing, decoding, resizing.

N images, C channels, H=W=size pixels.
"""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cleaned import one_line
from harness.data.files_below import SUFFIXES, found_below, left_out, subfolders
from harness.errors import DatasetMissing, RequestError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import Tensor

    from harness.data.columns import Files

MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"})  # 8 bits a channel
SPLIT_NAMES = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
DECODING = 3  # to be raised with every change here that changes decoded images or their order: they are kept by it
SHOWN = 3  # files that an error message names
COPIES = 2  # of decoded images in memory at once: a dataset as it was read, and cut into splits
MOST_PIXELS = 50_000_000  # of one file: a small file can hold more pixels than there is memory
LARGE = 4_000_000  # pixels of an image beyond which one is decoded at a time
_ONE_LARGE = threading.Lock()
DECODERS = 8  # most threads that decode; Pillow works outside Python's lock


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The files of a folder of class folders, sorted by class and name."""

    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    test_files: tuple[Path, ...] = ()
    test_labels: tuple[int, ...] = ()
    note: str = ""  # what of the folder was left out

    @property
    def has_test(self) -> bool:
        """Does the folder bring a test split of its own?"""
        return bool(self.test_files)


def list_images(folder: Path) -> Listing:
    """What is in `folder`: class folders, or `train/` and `test/` with the same class folders in both."""
    if not folder.is_dir():
        raise DatasetMissing(f"there is no folder {folder}: name a folder with one sub-folder per class")
    names = subfolders(folder)
    if {"train", "test"} <= set(names):
        classes, files, labels, unread = _labelled(folder / "train")
        test_classes, test_files, test_labels, unread_test = _labelled(folder / "test")
        if test_classes != classes:
            odd = sorted(set(test_classes) ^ set(classes))[0]
            raise RequestError(f"{folder}: class '{odd}' is in one of train/ and test/ only: add or remove it")
        beside = [name for name in names if name not in ("train", "test")]
        notes = [f"{name}/ beside train/ and test/ was left out ({_count(folder / name)} images)" for name in beside]
        return Listing(
            classes=classes,
            files=files,
            labels=labels,
            test_files=test_files,
            test_labels=test_labels,
            note="; ".join([*notes, *left_out(unread + unread_test)]),
        )
    if names and {name.lower() for name in names} <= SPLIT_NAMES:
        raise RequestError(
            f"{folder} has the folders {', '.join(names)}: call them train and test, or name one of them"
        )
    classes, files, labels, unread = _labelled(folder)
    return Listing(classes=classes, files=files, labels=labels, note="; ".join(left_out(unread)))


def _count(folder: Path) -> int:
    return len(found_below(folder).files)


def _labelled(folder: Path) -> tuple[tuple[str, ...], tuple[Path, ...], tuple[int, ...], Counter[str]]:
    """(class names, files, labels, images that are not read by ending) of the class folders in `folder`."""
    names = subfolders(folder)
    inside = {name: found_below(folder / name, [folder / other for other in names]) for name in names}
    inside = {name: found for name, found in inside.items() if found.files or not found.runs}
    classes = tuple(inside)
    if not classes:
        raise DatasetMissing(f"{folder} has no class folders: put the images of each class into a folder of its own")
    empty = [name for name, found in inside.items() if not found.files]
    if empty:
        known = ", ".join(sorted(SUFFIXES))
        raise RequestError(f"class folder {folder / empty[0]} has no images ({known}): remove or fill it")
    files = [(file, label) for label, found in enumerate(inside.values()) for file in found.files]
    unread = sum((found.unread for found in inside.values()), Counter[str]())
    return classes, tuple(file for file, _ in files), tuple(label for _, label in files), unread


def images_of(
    parts: Sequence[Sequence[Path]], size: int, channels: int, owner: str, *, in_memory: bool
) -> Sequence[Tensor | Files]:
    """For each part, its files decoded as uint8 (N,C,H,W), or as a column that decodes them when they are taken."""
    if in_memory:
        together = cached_images([file for part in parts for file in part], size, channels, owner)
        return together.split([len(part) for part in parts])
    from harness.data.columns import Files

    decoder = Decoder(size=size, channels=channels, owner=owner)
    return [Files(tuple(part), decoder) for part in parts]


def require_memory(files: int, size: int, channels: int, owner: str) -> None:
    """Raise RequestError, before anything is decoded, where so many images do not fit into the memory that is free."""
    import psutil

    needed, free = COPIES * files * channels * size**2, psutil.virtual_memory().available
    if needed > free:
        raise RequestError(
            f"{owner}: {files:,} images of {size}x{size}x{channels} need {needed / 2**30:.1f} GiB of memory and "
            f"{free / 2**30:.1f} GiB are free: {owner}[in_memory=false] decodes them on demand"
        )


@dataclass(frozen=True)
class Decoder:
    """Image files -> uint8 (n,C,H,W), in as many threads as this process may use for one cell; workers have one."""

    size: int
    channels: int
    owner: str

    def __call__(self, files: Sequence[Path]) -> Tensor:
        import torch

        threads = torch.get_num_threads()
        return torch.from_numpy(decode_images(files, self.size, self.channels, self.owner, threads))


def cached_images(files: Sequence[Path], size: int, channels: int, owner: str) -> Tensor:
    """All `files` as uint8 (N,C,H,W), decoded at most once for the same content, size and number of channels."""
    import PIL
    import torch

    from harness.data.cache import cached_array
    from harness.data.content import content_fingerprint, in_order, written_out

    paths = in_order(files)  # as in the fingerprint, so that the order of the images follows from the key
    key = content_fingerprint(paths, f"decoding {DECODING} {size} {channels} Pillow {PIL.__version__}")
    array = cached_array(
        f"decoded/{key}.npy",
        shape=(len(paths), channels, size, size),
        build=lambda: decode_images(paths, size, channels, owner),
    )
    place = {path: row for row, path in enumerate(paths)}
    return torch.from_numpy(array)[[place[written_out(file)] for file in files]]


def decode_images(
    files: Sequence[Path], size: int, channels: int, owner: str, threads: int | None = None
) -> np.ndarray:
    """Decode all `files` to uint8 (N,C,H,W). Raises one RequestError that counts all files that cannot be decoded.

    threads: None are as many as there are cores.
    """
    import numpy as np

    images = np.zeros((len(files), channels, size, size), dtype=np.uint8)
    decode = partial(_decode_into, images, size, channels)
    if threads == 1:
        outcomes = list(map(decode, range(len(files)), files))
    else:
        with ThreadPoolExecutor(min(DECODERS, threads or os.cpu_count() or 1)) as pool:
            outcomes = list(pool.map(decode, range(len(files)), files))
    failures = [f"{one_line(str(file))} ({reason})" for file, reason in zip(files, outcomes, strict=True) if reason]
    if failures:
        more = f" and {len(failures) - SHOWN} more" if len(failures) > SHOWN else ""
        raise RequestError(
            f"{owner}: {len(failures)} of {len(files)} images cannot be decoded: remove or replace "
            f"{', '.join(failures[:SHOWN])}{more}"
        )
    return images


def _decode_into(images: np.ndarray, size: int, channels: int, index: int, file: Path) -> str:
    """Put one image into its row; the reason where that fails, else ""."""
    try:
        images[index] = decode_image(file, size, channels)
    except Exception as error:  # decoders raise whatever they like on damaged files; all are reported together
        return one_line(_reason(error))
    return ""


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    return " ".join(str(error).split())[:80] or type(error).__name__


def decode_image(file: Path, size: int, channels: int) -> np.ndarray:
    """One image file as uint8 (C,H,W): upright, short side resized with antialiasing, centre cut out.

    The same as torchvision's Resize(size) and CenterCrop(size) on a Pillow image. Transparency is dropped.
    """
    import numpy as np
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # its size is looked at here
        opened = Image.open(file)
    pixels = opened.width * opened.height
    with opened, _ONE_LARGE if pixels > LARGE else contextlib.nullcontext():
        if pixels > MOST_PIXELS:
            raise ValueError(f"{pixels / 1e6:.0f} megapixels, of which at most {MOST_PIXELS / 1e6:.0f} are read")
        if opened.mode not in MODES:
            raise ValueError(f"its pixels are of mode {opened.mode}, not 8 bits a channel")
        upright = ImageOps.exif_transpose(opened)
        if upright.mode in ("P", "PA"):
            upright = upright.convert("RGBA")  # Pillow warns when a transparent palette loses its transparency at once
        image = centre_cut(upright.convert("L" if channels == 1 else "RGB"), size)
    values = np.asarray(image)  # (H,W) or (H,W,3)
    return values[None] if channels == 1 else values.transpose(2, 0, 1)


def resized_long(file: Path, size: int) -> int:
    """Pixels of the long side once the short one has `size`, negative for tall images; 0 of what is no image."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(file)
        with opened:
            width, height = opened.size
            turned = opened.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except Exception:  # decoding says what is wrong with it
        return 0
    width, height = (height, width) if turned else (width, height)
    longer = int(size * max(width, height) / max(1, min(width, height)))
    return longer if width >= height or longer == size else -longer


def centre_cut(image: Image, size: int) -> Image:
    """The short side resized to `size` pixels with antialiasing, and the centre cut out.

    Raises ValueError for an image so long that, resized, it would have more than MOST_PIXELS.
    """
    from PIL import Image as pillow

    short = min(image.size)
    width, height = (int(size * side / short) for side in image.size)
    if width * height > MOST_PIXELS:
        raise ValueError(f"it is {image.width:,} x {image.height:,} pixels: too long to be resized to {size} a side")
    resized = image.resize((width, height), pillow.Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return resized.crop((left, top, left + size, top + size))
