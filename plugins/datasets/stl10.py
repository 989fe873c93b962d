"""STL-10: colour photos, 96x96, ten classes; 5,000 for training, 8,000 for testing, and 100,000 without labels.

Coates, Ng and Lee 2011. Self-supervised methods learn from the unlabelled photos, too (2.8 GB in memory).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.torchvision_files import download
from harness.plugin import DatasetSpec, DataSpec, ImageField, NoConfig, hookimpl

if TYPE_CHECKING:
    from torch import Tensor

    from harness.plugin import RawData

FOLDER = "stl10_binary"
CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
SHAPE = (3, 96, 96)


def describe(config: NoConfig, root: Path) -> DataSpec[ImageField]:
    return DataSpec(inputs=ImageField(channels=3, size=96, mirror=True), classes=CLASSES)


def files(config: NoConfig, root: Path) -> list[Path]:
    names = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "unlabeled_X.bin")
    return [root / FOLDER / name for name in names]


def load(config: NoConfig, root: Path) -> RawData:
    from harness.plugin import RawData

    train, train_labels, test, test_labels, unlabelled = files(config, root)
    return RawData(
        inputs=_read_images(train),
        labels=_read_labels(train_labels),
        test=RawData(inputs=_read_images(test), labels=_read_labels(test_labels)),
        unlabelled=_read_images(unlabelled),
    )


def _read_images(path: Path) -> Tensor:
    """Bytes of one image after another, each colour after the other, each column by column."""
    import numpy as np
    import torch

    size = path.stat().st_size
    if size == 0 or size % (3 * 96 * 96):
        raise ValueError(f"{path.name} has {size} bytes, which is no whole number of 96x96x3 images")
    columns = np.memmap(path, dtype=np.uint8, mode="r").reshape(-1, *SHAPE)  # (N,3,W,H), not read yet
    return torch.from_numpy(np.ascontiguousarray(columns.transpose(0, 1, 3, 2)))  # (N,3,H,W)


def _read_labels(path: Path) -> Tensor:
    """One byte per image, 1 to 10 -> 0 to 9."""
    import numpy as np
    import torch

    return torch.from_numpy(np.fromfile(path, dtype=np.uint8).astype(np.int64) - 1)


def prepare(config: NoConfig, root: Path) -> None:
    download("STL10", root, {})


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name="stl10",
        describe=describe,
        files=files,
        load=load,
        prepare=prepare,
        source="Coates, Ng and Lee 2011, Analysis of Single-Layer Networks in Unsupervised Feature Learning; "
        "no licence stated",
    )
