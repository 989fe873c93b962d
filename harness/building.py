"""A method of a cell: the backbone, then the method on it, each seeded by its own purpose."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from harness import loading
from harness.applicability import declared_reason
from harness.data.fields import DataSpec, ImageField
from harness.data.rows import Dataset
from harness.errors import NotApplicable
from harness.records import Cell, Information, PluginRef
from harness.registry import METHOD_KINDS, Registry
from harness.seeding import seed_everything


def build_method(registry: Registry, cell: Cell, spec: DataSpec[ImageField]) -> nn.Module:
    """The untrained method of a cell, for images like `spec`. The backbone's weights depend on the seed alone.

    Raises NotApplicable with what the method declares, or finds when it is built, against such a source.
    """
    chosen = registry.chosen(cell.method, METHOD_KINDS)
    reason = declared_reason(chosen, spec)
    if reason:
        raise NotApplicable(reason)
    backbone = None
    if cell.backbone is not None:
        encoder = registry.chosen(cell.backbone, ("backbone",))
        seed_everything(cell.seed, "initialisation", "backbone")
        backbone = encoder.spec.build(spec, encoder.config)
    seed_everything(cell.seed, "initialisation", cell.method.name)
    method = chosen.spec.build(backbone, spec, chosen.config)
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
    return registry.chosen(cell.method, METHOD_KINDS).uses


def load_dataset(registry: Registry, ref: PluginRef, root: str, seed: int) -> Dataset:
    """A dataset with the splits of `seed`. Texts are strings still: `read_as` makes them tokens of the source's."""
    chosen = registry.chosen(ref, ("dataset",))
    return loading.load(chosen.spec, chosen.config, Path(root), seed)
