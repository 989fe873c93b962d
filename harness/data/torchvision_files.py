"""The file formats of the datasets that torchvision fetches, in torchvision's own folder layout.

They are read here and not through torchvision's classes, which check MD5 sums at each start and unpickle whatever
they find. torchvision is used only to download. N images, C channels, H=W pixels.
"""

from __future__ import annotations

import io
import os
import pickle
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

ARCHIVES = (".gz", ".tgz", ".tar", ".zip")  # what is left over when a download has been unpacked


def read_idx(path: Path) -> np.ndarray:
    """An IDX file of unsigned bytes (MNIST): 0, 0, type 8, number of axes, each axis as a big-endian int32, values."""
    content = path.read_bytes()
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise ValueError(f"{path.name} is no IDX file of unsigned bytes")
    shape = tuple(np.frombuffer(content, dtype=">i4", count=content[3], offset=4).tolist())
    values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * len(shape))
    if values.size != np.prod(shape):
        raise ValueError(f"{path.name} has {values.size} values, its header says {shape}")
    return values.reshape(shape).copy()


def read_mnist(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Images (N,1,H,W) and labels (N,) of `part` ("train" or "t10k") of a folder in MNIST's format."""
    import torch

    images = read_idx(folder / f"{part}-images-idx3-ubyte")
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte")
    if images.ndim != 3 or labels.ndim != 1:
        raise ValueError(f"{part} has images of {images.ndim} axes and labels of {labels.ndim}, expected 3 and 1")
    return torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels.astype(np.int64))


def mnist_files(folder: Path) -> list[Path]:
    """The four files of a folder in MNIST's format."""
    return [folder / f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


def read_cifar(paths: list[Path], label_key: str) -> tuple[Tensor, Tensor]:
    """Images (N,3,32,32) and labels (N,) of CIFAR's Python batches: dictionaries with `data`, uint8 (N,3072)."""
    import torch

    batches = [_ArrayUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").read(path) for path in paths]
    try:
        images = np.concatenate([np.asarray(batch["data"], dtype=np.uint8) for batch in batches])
        labels = np.concatenate([np.asarray(batch[label_key], dtype=np.int64) for batch in batches])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{paths[0].parent.name} has a batch without 'data' and '{label_key}'") from error
    return torch.from_numpy(images.reshape(-1, 3, 32, 32)), torch.from_numpy(labels)


class _ArrayUnpickler(pickle.Unpickler):
    """Reads dictionaries, lists, numbers and numpy arrays, and refuses to call anything else that a pickle names."""

    def read(self, path: Path) -> Any:
        try:
            return self.load()
        except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, TypeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path.name} cannot be read: {error}") from error

    def find_class(self, module: str, name: str) -> Any:
        rebuild: Any = np.empty(0).__reduce__()[0]  # numpy's own, wherever this version of numpy keeps it
        allowed: dict[str, Any] = {"_reconstruct": rebuild, "ndarray": np.ndarray, "dtype": _old_dtype}
        if module.split(".")[0] != "numpy" or name not in allowed:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no dataset needs")
        return allowed[name]


def _old_dtype(code: str, align: int, copy: int) -> np.dtype:
    """numpy.dtype as pickles of 2009 call it, with 0 and 1 for the booleans that numpy 2.4 demands."""
    return np.dtype(code, align=bool(align), copy=bool(copy))


def download(dataset: str, root: Path, *choices: dict[str, Any]) -> None:
    """Let torchvision's class `dataset` download each of `choices` (its arguments) into `root`.

    The files arrive in a folder beside and are moved when all are complete, so that a broken download leaves nothing
    that looks like data. Archives are thrown away.
    """
    from torchvision import datasets

    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as staging, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision's own, about the age of what it unpacks
        for choice in choices:
            getattr(datasets, dataset)(staging, download=True, **choice)
        for file in sorted(Path(staging).rglob("*")):
            if file.is_file() and file.suffix not in ARCHIVES:
                target = root / file.relative_to(staging)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, target)
