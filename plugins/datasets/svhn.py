"""Street View House Numbers: 99,289 colour crops of digits, 32x32, 26,032 of them for testing. Netzer et al. 2011.

The 531,131 easy "extra" images are not used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.torchvision_files import download
from harness.plugin import DatasetSpec, DataSpec, ImageField, NoConfig, hookimpl

if TYPE_CHECKING:
    from torch import Tensor

    from harness.plugin import RawData


def describe(config: NoConfig, root: Path) -> DataSpec[ImageField]:
    return DataSpec(inputs=ImageField(channels=3, size=32), classes=tuple("0123456789"))


def files(config: NoConfig, root: Path) -> list[Path]:
    return [root / "train_32x32.mat", root / "test_32x32.mat"]


def load(config: NoConfig, root: Path) -> RawData:
    from harness.plugin import RawData

    train, test = files(config, root)
    images, labels = _read(train)
    test_images, test_labels = _read(test)
    return RawData(inputs=images, labels=labels, test=RawData(inputs=test_images, labels=test_labels))


def _read(path: Path) -> tuple[Tensor, Tensor]:
    """A MATLAB file with X, uint8 (32,32,3,N), and y, (N,1) in 1..10, where 10 is the digit 0."""
    import numpy as np
    import torch
    from scipy.io import loadmat

    try:
        content = loadmat(path)
        pixels, digits = content["X"], content["y"]
    except Exception as error:  # scipy has no base class for what a damaged file raises
        raise ValueError(f"{path.name} cannot be read: {error}") from error
    images = np.ascontiguousarray(pixels.transpose(3, 2, 0, 1))  # (N,3,32,32)
    return torch.from_numpy(images), torch.from_numpy(digits.ravel().astype(np.int64) % 10)


def prepare(config: NoConfig, root: Path) -> None:
    download("SVHN", root, {"split": "train"}, {"split": "test"})


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name="svhn",
        describe=describe,
        files=files,
        load=load,
        prepare=prepare,
        source="Netzer et al. 2011, Reading Digits in Natural Images with Unsupervised Feature Learning; "
        "non-commercial use only",
    )
