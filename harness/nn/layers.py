"""Layers that backbones and heads are built of."""

from __future__ import annotations

from torch import nn


def normalisation(kind: str, channels: int) -> list[nn.Module]:
    """The normalisation of (B,C,H,W) maps: `batch`, `layer` (over C, H and W: one group) or `none`."""
    if kind == "batch":
        return [nn.BatchNorm2d(channels)]
    if kind == "layer":
        return [nn.GroupNorm(1, channels)]
    if kind == "none":
        return []
    raise ValueError(f"no normalisation '{kind}': choose batch, layer or none")
