"""Decoders: from a code, or from maps of codes, to the logits of an image.

B images, L latent dimensions, D features, C channels, H=W pixels, h=w positions of a map.
"""

from __future__ import annotations

from itertools import pairwise
from math import ceil, log2
from typing import Literal

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
            nn.ConvTranspose2d(width, data.inputs.channels, 4, stride=2, padding=1),
        )

    def forward(self, code: Tensor) -> Tensor:
        maps = maps_of(self.project(code), self.width, self.start)  # (B,2W,H/4,H/4)
        return self.upsample(maps)[..., : self.size, : self.size]  # (B,C,H,W)


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
