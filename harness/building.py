"""A method of a cell: the backbone, then the method on it, each seeded by its own purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness import loading
from harness.data.fields import DataSpec, ImageField
from harness.data.rows import Dataset
from harness.errors import TrainingFailed
from harness.plugin.specs import BackboneSpec, MethodSpec
from harness.records import Cell, Information, PluginRef
from harness.registry import METHOD_KINDS, Registry
from harness.registry.config import resolve
from harness.seeding import seed_everything


def build_method(registry: Registry, cell: Cell, spec: DataSpec[ImageField]) -> nn.Module:
    """The untrained method of a cell, for images like `spec`. The backbone's weights depend on the seed alone."""
    method = _with_config(registry.load(cell.method.name, METHOD_KINDS).spec, cell.method)
    encoder = None
    if cell.backbone is not None:
        encoder = _with_config(registry.load(cell.backbone.name, ("backbone",)).spec, cell.backbone)
    return assembled(method, spec, encoder, seed=cell.seed, name=cell.method.name)


def assembled(
    method: tuple[MethodSpec, Any], data: DataSpec, encoder: tuple[BackboneSpec, Any] | None, *, seed: int, name: str
) -> nn.Module:
    """A method and its backbone, each a spec and its config, as cells and the contract kit build them."""
    backbone = None
    if encoder is not None:
        seed_everything(seed, "initialisation", "backbone")
        backbone = encoder[0].build(data, encoder[1])
    seed_everything(seed, "initialisation", name)
    built: Any = method[0].build(backbone, data, method[1])
    if not isinstance(built, nn.Module):
        raise TrainingFailed(f"build gave a {type(built).__name__}, expected an nn.Module")
    return in_channels_last(built)


def _with_config(spec: Any, ref: PluginRef) -> tuple[Any, Any]:
    return spec, resolve(spec.config, ref.params, ref.name)


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


def load_dataset(registry: Registry, ref: PluginRef, root: str, seed: int) -> Dataset:
    """A dataset with the splits of `seed`. Texts are strings still: `read_as` makes them tokens of the source's."""
    spec = registry.load(ref.name, ("dataset",)).spec
    return loading.load(spec, resolve(spec.config, ref.params, ref.name), Path(root), seed)
