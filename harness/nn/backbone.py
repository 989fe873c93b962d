"""The encoder that all methods of a run share, so that only the objective differs.

B images, C channels, H=W pixels, D features, h,w positions of the maps before the spatial mean.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.data.fields import DataSpec, ImageField
from harness.errors import NotApplicable


class Backbone(nn.Module):
    """A trunk with the input standardisation of its source.

    backbone(images)        (B,C,H,W) in [0,1] -> (B,D)
    backbone.trunk(inputs)  the same for inputs that are standardised already, e.g. jigsaw tiles
    backbone.maps(images)   (B,C,H,W) in [0,1] -> (B,D,h,w), whose mean over positions is backbone(images) in eval mode
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        trunk: nn.Module,
        dim: int,
        data: DataSpec[ImageField],
        *,
        any_size: bool,
        maps: Callable[[nn.Module, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.trunk = trunk  # (B,C,H,W) standardised -> (B,D)
        self.dim = dim  # D
        self.any_size = any_size  # does the trunk take images of other sizes, such as tiles?
        self._maps = maps  # (trunk, standardised (B,C,H,W)) -> (B,D,h,w); None: it has no maps
        channels = data.inputs.channels
        self.register_buffer("mean", torch.tensor(data.inputs.mean or (0.5,) * channels).view(1, channels, 1, 1))
        self.register_buffer("std", torch.tensor(data.inputs.std or (0.5,) * channels).view(1, channels, 1, 1))

    def standardise(self, images: Tensor) -> Tensor:
        """Zero mean and unit variance per channel, by the training images of the source."""
        return (images - self.mean) / self.std

    def forward(self, images: Tensor) -> Tensor:
        return self.trunk(self.standardise(images))

    def maps(self, images: Tensor) -> Tensor:
        """The features at each position, before the spatial mean: (B,C,H,W) -> (B,D,h,w).

        Raises NotApplicable where the backbone sees no positions.
        """
        if self._maps is None:
            raise NotApplicable("needs feature maps: choose a convolutional backbone, such as convnet")
        return self._maps(self.trunk, self.standardise(images))

    def map_size(self, size: int) -> int:
        """h = w of the maps of images of H = W = `size`. Raises NotApplicable where there are none."""
        training = self.training
        with torch.no_grad():
            maps = self.eval().maps(self.mean.expand(1, -1, size, size))  # (1,D,h,w)
        self.train(training)
        return maps.shape[-1]
