"""The encoder that all methods of a run share, so that only the objective differs.

B images, C channels, H=W pixels, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.records import ImageSpec


class Backbone(nn.Module):
    """A trunk with the input standardisation of its source.

    backbone(images)        (B,C,H,W) in [0,1] -> (B,D)
    backbone.trunk(inputs)  the same for inputs that are standardised already, e.g. jigsaw tiles
    """

    mean: Tensor
    std: Tensor

    def __init__(self, trunk: nn.Module, dim: int, data: ImageSpec, *, any_size: bool) -> None:
        super().__init__()
        self.trunk = trunk  # (B,C,H,W) standardised -> (B,D)
        self.dim = dim  # D
        self.any_size = any_size  # does the trunk take images of other sizes, such as tiles?
        channels = data.channels
        self.register_buffer("mean", torch.tensor(data.mean or (0.5,) * channels).view(1, channels, 1, 1))
        self.register_buffer("std", torch.tensor(data.std or (0.5,) * channels).view(1, channels, 1, 1))

    def standardise(self, images: Tensor) -> Tensor:
        """Zero mean and unit variance per channel, by the training images of the source."""
        return (images - self.mean) / self.std

    def forward(self, images: Tensor) -> Tensor:
        return self.trunk(self.standardise(images))
