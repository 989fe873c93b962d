"""What an evaluation gets to judge: a frozen method, a target, and everything that is shared between evaluations.

N images, C channels, H=W pixels, D features.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.capabilities import capabilities_of
from harness.data.batches import Batch
from harness.data.images import ImageDataset, to_float, to_uint8
from harness.errors import NotApplicable, TrainingFailed
from harness.records import Cell, ImageSpec, Picture, SplitName
from harness.seeding import derived_generator

ENCODING_BATCH = 512


class Subject:
    """One trained method on one target. Representations are extracted once per split and shared by all evaluations."""

    def __init__(
        self,
        *,
        method: nn.Module,
        cell: Cell,
        spec: ImageSpec,
        target: ImageDataset,
        artifacts: Path,
        cache: Path,
        fingerprint: str,
    ) -> None:
        self.method: Any = method.eval().requires_grad_(False)  # a module with methods of harness.capabilities
        self.cell = cell
        self.spec = spec  # of the source: what the method was built for
        self.target = target  # already of the source's size and channels
        self.device = torch.device(cell.device)
        self.cache = cache  # a folder for what may be kept between runs, e.g. feature extractors
        self.target_fingerprint = fingerprint
        self.pictures: list[Picture] = []
        self._artifacts = artifacts
        self._features: dict[SplitName, Tensor] = {}

    def begin(self, artifacts: Path) -> None:
        """Start an evaluation: its pictures go to a folder of its own."""
        self.pictures = []
        self._artifacts = artifacts

    def has(self, capability: str) -> bool:
        """Can the method do this? See harness.capabilities."""
        return capability in capabilities_of(self.method)

    def images(self, split: SplitName) -> Tensor:
        """uint8 (N,C,H,W) on the CPU."""
        return self.target.split(split).images

    def labels(self, split: SplitName) -> Tensor:
        """int64 (N,) on the CPU. Raises NotApplicable where the target has no labels."""
        labels = self.target.split(split).labels
        if labels is None:
            raise NotApplicable(f"{self.target.name} has no labels")
        return labels

    def features(self, split: SplitName) -> Tensor:
        """The frozen representation of a split: float32 (N,D) on the CPU. Raises TrainingFailed when it is unusable."""
        if split not in self._features:
            features = self.batched(self.method.encode, self.images(split))
            _check_features(features, len(self.images(split)))
            self._features[split] = features
        return self._features[split]

    def batched(self, function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Apply `function` to uint8 images (N,C,H,W) as float in [0,1] on the device; float32 results on the CPU."""
        parts = []
        with torch.no_grad(), autocast(self.device, self.cell.precision):
            for part in images.split(ENCODING_BATCH):
                parts.append(function(to_float(part.to(self.device))).float().cpu())
        return torch.cat(parts)

    def generator(self, purpose: str) -> torch.Generator:
        """A CPU generator of this seed for one purpose of one evaluation."""
        return derived_generator(self.cell.seed, "evaluation", self.target.name, purpose)

    def trainable_copy(self) -> nn.Module:
        """A deep copy of the method whose weights may be changed; the subject stays as it is."""
        return copy.deepcopy(self.method).requires_grad_(True).train()

    def training_step(self, rate: float = 1.0) -> Callable[[Batch], Tensor]:
        """What the trainer does with one batch, on a trainable copy: forward, backward and optimiser step; the loss.

        `rate` multiplies the learning rate of the cell.
        """
        from harness.trainer import Optimisation

        optimisation = Optimisation(self.trainable_copy(), self.cell.train, self.cell.precision)
        return lambda batch: optimisation.step(batch, rate)

    def show_images(self, name: str, images: Tensor, columns: int, caption: str) -> None:
        """Keep images (N,C,H,W) in [0,1] as one PNG grid with `columns` columns, for the report."""
        from PIL import Image

        grid = _grid(to_uint8(images.detach().float().cpu()), columns)  # (H',W',C)
        picture = Image.fromarray(grid.squeeze(-1).numpy() if grid.shape[-1] == 1 else grid.numpy())
        file = self._new_file(f"{name}.png")
        picture.save(file, optimize=True)
        self.pictures.append(Picture(name=name, kind="image", file=str(file), caption=caption))

    def show_points(self, name: str, points: Tensor, labels: Tensor | None, caption: str) -> None:
        """Keep points (N,2) with their labels (N,) as a scatter plot, for the report."""
        content: dict[str, Any] = {
            "x": [round(value, 3) for value in points[:, 0].tolist()],
            "y": [round(value, 3) for value in points[:, 1].tolist()],
            "label": labels.tolist() if labels is not None else [],
            "classes": list(self.target.spec.classes),
        }
        file = self._new_file(f"{name}.json")
        file.write_text(json.dumps(content))
        self.pictures.append(Picture(name=name, kind="scatter", file=str(file), caption=caption))

    def _new_file(self, name: str) -> Path:
        self._artifacts.mkdir(parents=True, exist_ok=True)
        return self._artifacts / name


def autocast(device: torch.device, precision: str) -> Any:
    """bf16 autocast on the device, or nothing for fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def _check_features(features: Tensor, n: int) -> None:
    if features.ndim != 2 or len(features) != n:
        raise TrainingFailed(f"encode() gave {tuple(features.shape)}, expected ({n}, D): flatten before returning")
    if not torch.isfinite(features).all():
        raise TrainingFailed("the representation has values that are not finite")
    if float(features.std(0).max()) < 1e-6:
        raise TrainingFailed("collapsed: every image has the same representation")


def _grid(images: Tensor, columns: int, gap: int = 1) -> Tensor:
    """uint8 (N,C,H,W) -> one uint8 picture (H',W',C), row by row, with white gaps."""
    n, channels, height, width = images.shape
    rows = -(-n // columns)
    cell_h, cell_w = height + gap, width + gap
    canvas = images.new_full((rows * cell_h - gap, columns * cell_w - gap, channels), 255)
    for index, image in enumerate(images):
        top, left = (index // columns) * cell_h, (index % columns) * cell_w
        canvas[top : top + height, left : left + width] = image.permute(1, 2, 0)
    return canvas
