"""Images and labels of a .npz file: arrays `images`, uint8 (N,H,H) or (N,H,H,3), and `labels`, integers (N,).

    harness bench --plugins vae --datasets './npz.py[path=mine.npz]'

N images, C channels, H=W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.plugin import DatasetMissing, DatasetSpec, DataSpec, ImageField, RawData, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    path: str = field(metadata={"changes_images": False})  # of the .npz file; its content is what counts


def describe(config: Config, root: Path) -> DataSpec[ImageField]:
    images, labels = arrays(config)
    classes = tuple(f"class {label}" for label in range(int(labels.max()) + 1))
    return DataSpec(inputs=ImageField(channels=channels_of(images), size=images.shape[1]), classes=classes)


def files(config: Config, root: Path) -> list[Path]:
    return [Path(config.path).expanduser().absolute()]


def load(config: Config, root: Path) -> RawData:
    images, labels = arrays(config)
    shape = (len(images), images.shape[1], images.shape[2], channels_of(images))
    pixels = torch.from_numpy(images).reshape(shape).movedim(-1, 1)  # (N,C,H,W)
    return RawData(inputs=pixels.contiguous(), labels=torch.from_numpy(labels).long())


def arrays(config: Config) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The two arrays of the file. Raises DatasetMissing where there is none."""
    (file,) = files(config, Path())
    if not file.is_file():
        raise DatasetMissing(f"there is no file {file}: give npz the path of a .npz file")
    with np.load(file) as content:  # without pickle: nobody's code is run
        return content["images"], content["labels"]


def channels_of(images: np.ndarray[Any, Any]) -> int:
    return 1 if images.ndim == 3 else images.shape[3]


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(name="npz", describe=describe, files=files, load=load, config=Config, source="your own file")
