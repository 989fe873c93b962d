"""A method of a cell: the backbone, then the method on it, each seeded by its own purpose."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from harness import loading
from harness.data.fields import DataKind, DataSpec
from harness.data.rows import Dataset
from harness.errors import NotApplicable
from harness.outcomes import cannot_take
from harness.records import Cell, Information, PluginRef
from harness.registry import METHOD_KINDS, Registry
from harness.registry.config import resolve
from harness.seeding import seed_everything


def build_method(registry: Registry, cell: Cell, spec: DataSpec) -> nn.Module:
    """The untrained method of a cell, for inputs like `spec`. The backbone's weights depend on the seed alone.

    Raises NotApplicable where the method or its backbone does not take such data.
    """
    plugin = registry.load(cell.method.name, METHOD_KINDS)
    _require_kind(cell.method.name, plugin.spec.takes, cell, spec)
    backbone = None
    if cell.backbone is not None:
        encoder = registry.load(cell.backbone.name, ("backbone",)).spec
        _require_kind(cell.backbone.name, encoder.takes, cell, spec)
        seed_everything(cell.seed, "initialisation", "backbone")
        backbone = encoder.build(spec, resolve(encoder.config, cell.backbone.params, cell.backbone.name))
    seed_everything(cell.seed, "initialisation", cell.method.name)
    config = resolve(plugin.spec.config, cell.method.params, cell.method.name)
    method = plugin.spec.build(backbone, spec, config)
    return in_channels_last(method)


def _require_kind(name: str, takes: tuple[DataKind, ...], cell: Cell, spec: DataSpec) -> None:
    reason = cannot_take(name, "takes", takes, cell.source.name, spec.kind)
    if reason:
        raise NotApplicable(reason)


def in_channels_last(method: nn.Module) -> nn.Module:
    """The method with the weights of its convolutions channels last, those of 2-D and of 3-D ones."""

    def laid_out(values: Tensor) -> Tensor:
        if values.ndim == 4:
            return values.to(memory_format=torch.channels_last)
        return values.to(memory_format=torch.channels_last_3d) if values.ndim == 5 else values

    return method._apply(laid_out)


def information(registry: Registry, cell: Cell) -> tuple[Information, ...]:
    """What the method of a cell sees in training beside its inputs."""
    spec = registry.load(cell.method.name, METHOD_KINDS).spec
    return spec.uses_with(resolve(spec.config, cell.method.params, cell.method.name))


def load_dataset(registry: Registry, ref: PluginRef, root: str, seed: int) -> Dataset:
    """A dataset with the splits of `seed`. Texts are strings still: `read_as` makes them tokens of the source's."""
    spec = registry.load(ref.name, ("dataset",)).spec
    return loading.load(spec, resolve(spec.config, ref.params, ref.name), Path(root), seed)
