"""A method of a cell: the backbone, then the method on it, each seeded by its own purpose."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from harness import loading
from harness.data.fields import DataSpec, ImageField
from harness.data.rows import Dataset
from harness.records import Cell, Information, PluginRef
from harness.registry import METHOD_KINDS, Registry
from harness.registry.config import resolve
from harness.seeding import seed_everything


def build_method(registry: Registry, cell: Cell, spec: DataSpec[ImageField]) -> nn.Module:
    """The untrained method of a cell, for images like `spec`. The backbone's weights depend on the seed alone."""
    plugin = registry.load(cell.method.name, METHOD_KINDS)
    backbone = None
    if cell.backbone is not None:
        encoder = registry.load(cell.backbone.name, ("backbone",)).spec
        seed_everything(cell.seed, "initialisation", "backbone")
        backbone = encoder.build(spec, resolve(encoder.config, cell.backbone.params, cell.backbone.name))
    seed_everything(cell.seed, "initialisation", cell.method.name)
    config = resolve(plugin.spec.config, cell.method.params, cell.method.name)
    method = plugin.spec.build(backbone, spec, config)
    return in_channels_last(method)


def in_channels_last(method: nn.Module) -> nn.Module:
    """The method with the weights of its convolutions channels last, those of 2-D and of 3-D ones."""

    def laid_out(values: Tensor) -> Tensor:
        if values.ndim == 4:
            return values.to(memory_format=torch.channels_last)
        return values.to(memory_format=torch.channels_last_3d) if values.ndim == 5 else values

    return method._apply(laid_out)


def information(registry: Registry, cell: Cell) -> tuple[Information, ...]:
    """What the method of a cell sees in training beside images."""
    spec = registry.load(cell.method.name, METHOD_KINDS).spec
    return spec.uses_with(resolve(spec.config, cell.method.params, cell.method.name))


def load_dataset(registry: Registry, ref: PluginRef, root: Path, seed: int) -> Dataset:
    """A dataset with the splits of `seed`. Texts are strings still: `read_as` makes them tokens of the source's."""
    spec = registry.load(ref.name, ("dataset",)).spec
    return loading.load(spec, resolve(spec.config, ref.params, ref.name), root, seed)
