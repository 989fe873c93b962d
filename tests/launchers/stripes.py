"""A method and its dataset in one file; the images lie below the data root."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from harness.plugin import DatasetSpec, DataSpec, ImageField, MethodSpec, RawData, hookimpl


class Mirror(nn.Module):
    def __init__(self, backbone, data, config) -> None:
        super().__init__()
        self.backbone = backbone  # (B,C,H,W) -> (B,D)

    def loss(self, batch) -> torch.Tensor:
        return (self.backbone(batch.inputs) - self.backbone(batch.inputs.flip(-1)) + 1).square().mean()

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return self.backbone(images)


def files(config, root: Path) -> list[Path]:
    return [root / "stripes.npz"]


def load(config, root: Path) -> RawData:
    with np.load(root / "stripes.npz") as content:
        return RawData(inputs=torch.tensor(content["images"]), labels=torch.tensor(content["labels"]))


def save(root: Path) -> None:
    """Write 120 images of 8x8: stripes that lie or stand, with noise."""
    root.mkdir(parents=True)
    generator = np.random.default_rng(0)
    labels = np.arange(120) % 2
    lying = 200 * (np.arange(8) % 2)[:, None].repeat(8, 1)
    images = np.stack([lying if label else lying.T for label in labels])[:, None]
    noise = generator.integers(0, 50, images.shape)
    np.savez(root / "stripes.npz", images=(images + noise).astype(np.uint8), labels=labels)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="mirror", kind="pretext", build=Mirror, source="a test")


@hookimpl
def harness_dataset() -> DatasetSpec:
    def describe(config, root: Path) -> DataSpec:
        return DataSpec(inputs=ImageField(channels=1, size=8), classes=("stands", "lies"))

    return DatasetSpec(name="stripes", describe=describe, files=files, load=load, source="a test")
