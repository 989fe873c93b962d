"""Layers that backbones and heads are built of."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def normalisation(kind: str, channels: int) -> list[nn.Module]:
    """The normalisation of (B,C,H,W) maps: `batch`, `layer` (over C, H and W: one group) or `none`."""
    if kind == "batch":
        return [nn.BatchNorm2d(channels)]
    if kind == "layer":
        return [nn.GroupNorm(1, channels)]
    if kind == "none":
        return []
    raise ValueError(f"no normalisation '{kind}': choose batch, layer or none")


class SpatialMean(nn.Module):
    """The mean over positions: maps (B,C,H,W) -> (B,C), whose gradient takes the layout of the maps in memory.

    That of torch's own mean and of AdaptiveAvgPool2d is laid out channels first: on a CPU the ReLU before it, whose
    maps are channels last, then takes twenty times as long backward: a tenth of a convnet's training step in fp32, a
    seventh in bf16.
    """

    def forward(self, maps: Tensor) -> Tensor:
        height, width = maps.shape[-2:]
        return maps.sum((2, 3)) / (height * width)


def maps_of(values: Tensor, channels: int, side: int) -> Tensor:
    """What a linear layer gives for maps, (B,h*w*C) -> (B,C,h,w) of h=w=`side`, channels last in memory.

    As convolutions prefer them, and so that the gradient comes in one layout: a decoder's step is a tenth to a sixth
    shorter on a CPU than with channels first.
    """
    return values.view(len(values), side, side, channels).permute(0, 3, 1, 2)


class Conv3d(nn.Conv3d):
    """That of torch, but in fp32 where a clip has fewer frames than the kernel: (B,C,T,H,W) -> (B,C',T',H',W').

    There the gradient of its weights in bf16 on a CPU is what the memory held before (torch 2.14, avx512_bf16: two
    frames under a kernel of three, two or three under one of five).
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu" or input.shape[2] >= self.kernel_size[0]:
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float())
