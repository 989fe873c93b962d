"""A subject to judge: any method on a small dataset, without a run around it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from harness.data.fields import DataSpec, ImageField
from harness.data.rows import Dataset, read_as
from harness.data.splits import split_dataset
from harness.judging.subject import Subject
from harness.records import Budget, Cell, Information, PluginRef, TrainConfig
from harness_plugins.datasets import digits


def digits_dataset(seed: int = 0) -> Dataset:
    """The 1,797 digits, cut by `seed`."""
    raw = digits.load(digits.Config(), Path())
    return split_dataset("digits", raw, digits.describe(digits.Config(), Path()), seed)


def example_subject(
    method: nn.Module,
    data: Dataset,
    folder: Path,
    *,
    seed: int = 0,
    precision: str = "fp32",
    spec: DataSpec[ImageField] | None = None,
    uses: tuple[Information, ...] = (),
) -> Subject:
    """`method` on `data`, with pictures and extractors below `folder`."""
    data = read_as(data, data.spec)
    cell = Cell(
        method=PluginRef(name="example"),
        kind="model",
        backbone=None,
        source=PluginRef(name=data.name),
        targets=(PluginRef(name=data.name),),
        evaluations=(),
        device="cpu",
        precision=precision,  # type: ignore[arg-type]
        seed=seed,
        budget=Budget.parse("1 epoch"),
        train=TrainConfig(batch_size=64),
    )
    return Subject(
        method=method,
        cell=cell,
        source=replace(data, spec=spec or data.spec),
        learned_from=data.pretraining(uses),
        target=data,
        artifacts=folder / "artifacts",
        cache=folder / "cache",
        fingerprint="example",
        uses=uses,
    )


class LinearCode(nn.Module):
    """The principal components of some images as a model: encodes, reconstructs, interpolates and samples."""

    def __init__(self, images: torch.Tensor, dim: int) -> None:
        super().__init__()
        pixels = images.flatten(1).double() / 255  # (N,P)
        self.shape = images.shape[1:]
        self.register_buffer("mean", pixels.mean(0).float())
        _, scales, components = torch.linalg.svd(pixels - pixels.mean(0), full_matrices=False)
        self.register_buffer("components", components[:dim].float())  # (D,P)
        self.register_buffer("spread", (scales[:dim] / (len(images) - 1) ** 0.5).float())  # (D,)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return (images.flatten(1) - self.mean) @ self.components.T

    def code(self, images: torch.Tensor) -> torch.Tensor:
        return self.encode(images)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return (codes @ self.components + self.mean).view(-1, *self.shape)

    def reconstruct(self, images: torch.Tensor) -> torch.Tensor:
        return self.decode(self.encode(images))

    def code_bits(self) -> float:
        return 32.0 * len(self.components)

    def interpolate(self, start: torch.Tensor, end: torch.Tensor, steps: int) -> torch.Tensor:
        one, two = self.encode(start)[:, None], self.encode(end)[:, None]
        path = torch.lerp(one, two, torch.linspace(0, 1, steps)[:, None])
        return self.decode(path.flatten(0, 1)).unflatten(0, (len(start), steps))

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        return self.decode(torch.randn(n, len(self.spread), generator=generator) * self.spread).clamp(0, 1)
