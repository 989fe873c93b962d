"""Inpainting: draw what was cut out, from what lies around it. Pathak et al. 2016, arXiv:1604.07379, section 3.

B images, C channels, H=W pixels, D features, N holes of an image, S pixels along the side of a hole.
The encoder sees the image with its holes filled with the source's mean; a decoder draws from the features, and the
loss is its squared error inside the holes alone (equation 1, "reconstruction loss"):
L = sum_holes (x - D(E(x with holes)))^2 / number of values in the holes
Differs from the paper: no adversarial loss (equation 2), which sharpens the drawing and has little part in the
features; no overlap of holes and surroundings with a tenfold weight; from the features, as wide as all methods share
them, to the decoder leads a dense layer and no channel-wise one; AdamW.
The encoder is judged on whole images.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.nn.decoders import Kind, code_decoder
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    holes: int = 4  # N, squares that are cut out of an image; they may overlap
    hole: float = 0.25  # S as a fraction of the image's side
    decoder: Kind = "conv"  # mlp: one hidden layer
    hidden: int = 400  # units of the mlp decoder's hidden layer

    def __post_init__(self) -> None:
        if self.holes < 1 or self.hidden < 1:
            raise ValueError("holes and hidden must be at least 1")
        if not 0 < self.hole < 1:
            raise ValueError("hole is a fraction of the image's side in (0,1)")


class Inpainting(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.side = max(1, round(config.hole * data.inputs.size))  # S
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        self.decoder = code_decoder(config.decoder, backbone.dim, data, config.hidden)  # (B,D) -> (B,C,H,W)

    def loss(self, batch: Batch) -> Tensor:
        images = batch.inputs
        missing = holes(images, self.config.holes, self.side)  # (B,1,H,W)
        drawn = self.draw(images.where(~missing, self.backbone.mean))  # (B,C,H,W)
        error = error_in_holes(drawn, images, missing)
        batch.log("error of the mean", error_in_holes(self.backbone.mean, images, missing))
        return error  # squared pixel values, per value in the holes

    def draw(self, images: Tensor) -> Tensor:
        """Images with holes (B,C,H,W) -> whole images (B,C,H,W) in [0,1]."""
        return self.decoder(self.backbone(images)).float().sigmoid()

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)


def holes(images: Tensor, count: int, side: int) -> Tensor:
    """Where `count` squares of `side` pixels lie, each at a random place within its image (B,C,H,W): bool (B,1,H,W)."""
    size, device = images.shape[-1], images.device
    start = torch.randint(size - side + 1, (2, len(images), count, 1), device=device)
    place = torch.arange(size, device=device)
    rows, columns = (place >= start) & (place < start + side)  # (B,N,H) each
    return (rows[..., :, None] & columns[..., None, :]).any(1, keepdim=True)  # (B,1,H,W)


def error_in_holes(drawn: Tensor, images: Tensor, missing: Tensor) -> Tensor:
    """The mean squared difference of (B,C,H,W) twice over the values that are missing (B,1,H,W): a scalar."""
    missing = missing.expand_as(images)
    return ((images - drawn).square() * missing).sum() / missing.sum()


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="inpainting", kind="pretext", build=Inpainting, config=Config, source="arXiv:1604.07379, section 3"
    )
