"""The generator of a DCGAN, for images of any size. Radford, Metz and Chintala 2016, arXiv:1511.06434, section 3.

B images, C channels, H=W pixels, Z dimensions of the noise, E of a condition, W channels.
Differs from the paper: it starts at a quarter of the size and doubles twice, whatever the size; a sigmoid ends it,
since images are in [0,1]. PyTorch's initial weights, but the last layer's times 4: where samples hardly differ at
first, as with the paper's initialisation of narrow networks, training begins in a single mode.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.data.fields import DataSpec, ImageField
from harness.nn.conditions import ConditionEncoder
from harness.nn.layers import maps_of

SPREAD = 4  # factor on the last layer's initial weights


class Generator(nn.Module):
    """Linear to a map of a quarter of the size, then two transposed convolutions: (B,Z+E) -> (B,C,H,W) in [0,1]."""

    def __init__(self, inputs: int, data: DataSpec[ImageField], width: int = 32) -> None:
        super().__init__()
        self.inputs = inputs  # Z+E
        self.size = data.inputs.size
        self.start = -(-data.inputs.size // 4)  # rounded up; the result is cropped to H
        self.width = 2 * width
        self.project = nn.Linear(inputs, self.width * self.start**2, bias=False)
        last = nn.ConvTranspose2d(width, data.inputs.channels, 4, stride=2, padding=1)
        self.upsample = nn.Sequential(
            nn.BatchNorm2d(self.width),
            nn.ReLU(),
            nn.ConvTranspose2d(self.width, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            last,
            nn.Sigmoid(),
        )

        with torch.no_grad():
            last.weight.mul_(SPREAD)

    def forward(self, noise: Tensor) -> Tensor:
        maps = maps_of(self.project(noise), self.width, self.start)  # (B,2W,H/4,H/4)
        return self.upsample(maps)[..., : self.size, : self.size]  # (B,C,H,W)


class ConditionalGenerator(nn.Module):
    """Noise (B,Z) beside the embedding of what is asked for (B,E) -> (B,C,H,W). Mirza 2014, arXiv:1411.1784."""

    def __init__(
        self, noise_dim: int, condition: ConditionEncoder, data: DataSpec[ImageField], width: int = 32
    ) -> None:
        super().__init__()
        self.condition = condition  # (B,) or (B,L) -> (B,E)
        self.generator = Generator(noise_dim + condition.dim, data, width)

    def make(self, noise: Tensor, embedded: Tensor) -> Tensor:
        """Noise (B,Z) and embedded conditions (B,E) -> (B,C,H,W)."""
        return self.generator(torch.cat([noise, embedded], dim=1))

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        return self.make(noise, self.condition(condition))


def noise_like(images: Tensor, dim: int) -> Tensor:
    """Standard normal noise (B,Z) for as many images, from the global generator: the one that training is seeded by."""
    return torch.randn(len(images), dim, device=images.device)
