"""Decoders: from a code, or from maps of codes, to the logits of an image.

B images, L latent dimensions, D features, C channels, H=W pixels, h=w positions of a map.
"""

from __future__ import annotations

from itertools import pairwise
from math import ceil, log2
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.fields import DataSpec, ImageField
from harness.nn.layers import maps_of

Kind = Literal["conv", "mlp"]


def code_decoder(kind: Kind, latent_dim: int, data: DataSpec[ImageField], hidden: int) -> nn.Module:
    """(B,L) -> logits (B,C,H,W): convolutions, or a perceptron with one layer of `hidden` units."""
    return ConvDecoder(latent_dim, data) if kind == "conv" else MlpDecoder(latent_dim, data, hidden)


class ConvDecoder(nn.Module):
    """Linear to a map of a quarter of the size, then two transposed convolutions that double it: (B,L) -> (B,C,H,W)."""

    def __init__(self, latent_dim: int, data: DataSpec[ImageField], width: int = 32) -> None:
        super().__init__()
        self.size = data.inputs.size
        self.start = -(-data.inputs.size // 4)  # rounded up; the result is cropped to H
        self.width = 2 * width
        self.project = nn.Linear(latent_dim, self.width * self.start**2)
        self.upsample = nn.Sequential(
            nn.ReLU(),
            nn.ConvTranspose2d(self.width, width, 4, stride=2, padding=1),
            nn.ReLU(),
            ToImage(width, data.inputs.channels, 4, stride=2, padding=1),
        )

    def forward(self, code: Tensor) -> Tensor:
        maps = maps_of(self.project(code), self.width, self.start)  # (B,2W,H/4,H/4)
        return self.upsample(maps)[..., : self.size, : self.size]  # (B,C,H,W)


class ToImage(nn.ConvTranspose2d):
    """A transposed convolution of 4x4 and stride 2, to few channels: (B,D,h,w) -> (B,C,2h,2w).

    Without gradients on the CPU it is one product of matrices and a sum of patches that overlap, the same but for
    rounding, in a quarter of the time (7 instead of 26 us for 32 maps of 14x14): the bound of a VAE decodes 200 times.
    """

    def forward(self, maps: Tensor, output_size: list[int] | None = None) -> Tensor:
        if torch.is_grad_enabled() or maps.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return super().forward(maps, output_size)
        height, width = maps.shape[2:]
        patches = maps.permute(0, 2, 3, 1).flatten(1, 2) @ self.weight.flatten(1)  # (B,hw,16C)
        image = F.fold(patches.transpose(1, 2), (2 * height, 2 * width), 4, padding=1, stride=2)
        return image if self.bias is None else image + self.bias.view(1, -1, 1, 1)


class MlpDecoder(nn.Module):
    """One hidden layer with ReLU: (B,L) -> (B,C,H,W)."""

    def __init__(self, latent_dim: int, data: DataSpec[ImageField], hidden: int = 400) -> None:
        super().__init__()
        self.shape = data.inputs.shape
        pixels = data.inputs.channels * data.inputs.size**2
        self.layers = nn.Sequential(nn.Linear(latent_dim, hidden), nn.ReLU(), nn.Linear(hidden, pixels))

    def forward(self, code: Tensor) -> Tensor:
        return self.layers(code).view(-1, *self.shape)  # (B,C,H,W)


class MapDecoder(nn.Module):
    """A 3x3 convolution, then transposed convolutions that each double the size of a map: (B,D,h,w) -> (B,C,H,W)."""

    def __init__(self, dim: int, start: int, data: DataSpec[ImageField], width: int = 32) -> None:
        super().__init__()
        self.size = data.inputs.size
        doublings = ceil(log2(data.inputs.size / start))  # the result is cropped to H
        widths = [2 * width, *[width] * (doublings - 1)]
        layers: list[nn.Module] = [nn.Conv2d(dim, widths[0], 3, padding=1), nn.ReLU()]
        for before, after in pairwise(widths):
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
        last: nn.Module = nn.Conv2d(widths[-1], data.inputs.channels, 3, padding=1)
        if doublings:
            last = nn.ConvTranspose2d(widths[-1], data.inputs.channels, 4, stride=2, padding=1)
        self.upsample = nn.Sequential(*layers, last)

    def forward(self, maps: Tensor) -> Tensor:
        return self.upsample(maps)[..., : self.size, : self.size]  # (B,C,H,W)
