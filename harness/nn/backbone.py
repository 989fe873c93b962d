"""The encoder that all methods of a run share, so that only the objective differs.

B examples, C channels, H=W pixels, T frames, L tokens, D features, h,w positions of the maps before the spatial mean.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.data.fields import DataSpec, TextField
from harness.errors import NotApplicable


class Backbone(nn.Module):
    """A trunk with the input standardisation of its source.

    backbone(inputs)        images (B,C,H,W) or clips (B,T,C,H,W) in [0,1], or tokens of texts (B,L) -> (B,D)
    backbone.trunk(inputs)  the same for inputs that are standardised already, e.g. jigsaw tiles
    backbone.maps(images)   (B,C,H,W) in [0,1] -> (B,D,h,w), whose mean over positions is backbone(images) in eval mode

    Tokens reach the trunk as they are. A text's representation may not depend on how much padding follows its end: see
    harness.nn.words.
    """

    mean: Tensor  # (1,C,1,1), which fits images and clips; a backbone of texts has none
    std: Tensor

    def __init__(
        self,
        trunk: nn.Module,
        dim: int,
        data: DataSpec,
        *,
        any_size: bool,
        maps: Callable[[nn.Module, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.trunk = trunk  # (B,C,H,W) or (B,T,C,H,W), standardised, or (B,L) -> (B,D)
        self.dim = dim  # D
        self.any_size = any_size  # does the trunk take other sizes, such as tiles, or texts of another length?
        self.kind = data.kind
        self._maps = maps  # (trunk, standardised (B,C,H,W)) -> (B,D,h,w); None: it has no maps
        if isinstance(data.inputs, TextField):
            return
        channels = data.inputs.channels
        self.register_buffer("mean", torch.tensor(data.inputs.mean or (0.5,) * channels).view(1, channels, 1, 1))
        self.register_buffer("std", torch.tensor(data.inputs.std or (0.5,) * channels).view(1, channels, 1, 1))

    def standardise(self, inputs: Tensor) -> Tensor:
        """Zero mean and unit variance per channel, by the training images or clips of the source; tokens stay."""
        return inputs if self.kind == "text" else (inputs - self.mean) / self.std

    def forward(self, inputs: Tensor) -> Tensor:
        return self.trunk(self.standardise(inputs))

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
