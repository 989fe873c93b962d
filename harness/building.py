"""A method of a cell: the backbone, then the method on it, each seeded by its own purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness import loading
from harness.applicability import declared_reason
from harness.data.fields import DataSpec
from harness.data.rows import Dataset
from harness.errors import NotApplicable, TrainingFailed
from harness.nn.backbone import Backbone
from harness.plugin.specs import BackboneSpec, MethodSpec
from harness.records import Cell, Information, PluginRef
from harness.registry import METHOD_KINDS, Registry
from harness.seeding import seed_everything


def build_method(registry: Registry, cell: Cell, spec: DataSpec) -> nn.Module:
    """The untrained method of a cell, for inputs like `spec`. The backbone's weights depend on the seed alone.

    Raises NotApplicable with what the method declares, or finds when it is built, against such a source.
    """
    method = registry.chosen(cell.method, METHOD_KINDS)
    reason = declared_reason(method, spec)
    if reason:
        raise NotApplicable(reason)
    encoder = _encoder(registry, cell)
    return assembled((method.spec, method.config), spec, encoder, seed=cell.seed, name=cell.method.name)


def build_backbone(registry: Registry, cell: Cell, spec: DataSpec, purpose: str) -> Backbone:
    """The backbone of a cell as it is before training, with weights of its own: drawn for this purpose.

    Raises NotApplicable where the method uses none.
    """
    encoder = _encoder(registry, cell)
    if encoder is None:
        raise NotApplicable(f"{cell.method.name} uses no backbone")
    seed_everything(cell.seed, "initialisation", "backbone", purpose)
    return in_channels_last(_built(encoder, spec)).to(cell.device)  # type: ignore[return-value]


def _encoder(registry: Registry, cell: Cell) -> tuple[BackboneSpec, Any] | None:
    chosen = None if cell.backbone is None else registry.chosen(cell.backbone, ("backbone",))
    return None if chosen is None else (chosen.spec, chosen.config)


def _built(encoder: tuple[BackboneSpec, Any], data: DataSpec) -> Backbone:
    backbone: Any = encoder[0].build(data, encoder[1])
    if not isinstance(backbone, Backbone):
        found = type(backbone).__name__
        raise TrainingFailed(f"build of backbone '{encoder[0].name}' gave a {found}, expected a harness.nn Backbone")
    return backbone


def assembled(
    method: tuple[MethodSpec, Any], data: DataSpec, encoder: tuple[BackboneSpec, Any] | None, *, seed: int, name: str
) -> nn.Module:
    """A method and its backbone, each a spec and its config, as cells and the contract kit build them."""
    backbone = None
    if encoder is not None:
        seed_everything(seed, "initialisation", "backbone")
        backbone = _built(encoder, data)
    seed_everything(seed, "initialisation", name)
    built: Any = method[0].build(backbone, data, method[1])
    if not isinstance(built, nn.Module):
        raise TrainingFailed(f"build gave a {type(built).__name__}, expected an nn.Module")
    return in_channels_last(built)


def in_channels_last(method: nn.Module) -> nn.Module:
    """The method with the weights of its convolutions channels last, those of 2-D and of 3-D ones."""

    def laid_out(values: Tensor) -> Tensor:
        if values.ndim == 4:
            return values.to(memory_format=torch.channels_last)
        return values.to(memory_format=torch.channels_last_3d) if values.ndim == 5 else values

    return method._apply(laid_out)


def information(registry: Registry, cell: Cell) -> tuple[Information, ...]:
    """What the method of a cell sees in training beside its inputs."""
    return registry.chosen(cell.method, METHOD_KINDS).uses


def load_dataset(registry: Registry, ref: PluginRef, root: Path, seed: int) -> Dataset:
    """A dataset with the splits of `seed`. Texts are strings still: `read_as` makes them tokens of the source's."""
    chosen = registry.chosen(ref, ("dataset",))
    return loading.load(chosen.spec, chosen.config, root, seed)
