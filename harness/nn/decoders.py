"""Decoders: from a code to the logits of an image.

B images, L latent dimensions, C channels, H=W pixels.
"""

from __future__ import annotations

from torch import Tensor, nn

from harness.records import ImageSpec


class ConvDecoder(nn.Module):
    """Linear to a map of a quarter of the size, then two transposed convolutions that double it: (B,L) -> (B,C,H,W)."""

    def __init__(self, latent_dim: int, data: ImageSpec, width: int = 32) -> None:
        super().__init__()
        self.size = data.size
        self.start = -(-data.size // 4)  # rounded up; the result is cropped to H
        self.width = 2 * width
        self.project = nn.Linear(latent_dim, self.width * self.start**2)
        self.upsample = nn.Sequential(
            nn.ReLU(),
            nn.ConvTranspose2d(self.width, width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(width, data.channels, 4, stride=2, padding=1),
        )

    def forward(self, code: Tensor) -> Tensor:
        maps = self.project(code).view(len(code), self.width, self.start, self.start)  # (B,2W,H/4,H/4)
        return self.upsample(maps)[..., : self.size, : self.size]  # (B,C,H,W)


class MlpDecoder(nn.Module):
    """One hidden layer with ReLU: (B,L) -> (B,C,H,W)."""

    def __init__(self, latent_dim: int, data: ImageSpec, hidden: int = 400) -> None:
        super().__init__()
        self.shape = data.shape
        pixels = data.channels * data.size**2
        self.layers = nn.Sequential(nn.Linear(latent_dim, hidden), nn.ReLU(), nn.Linear(hidden, pixels))

    def forward(self, code: Tensor) -> Tensor:
        return self.layers(code).view(-1, *self.shape)  # (B,C,H,W)
