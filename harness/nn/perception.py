"""Networks by whose feature maps images are compared: levels of maps, from fine to coarse.

B images, C channels, H=W pixels, D channels of a level's maps, h=w positions, K classes.
A perception gives `levels(images)`, `encode(images)` and, if it has to be trained first, `loss(batch)`.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.fields import DataSpec, ImageField
from harness.errors import NotApplicable
from harness.nn.backbone import Backbone
from harness.nn.layers import SpatialMean

if TYPE_CHECKING:
    from harness.data.batches import Batch

VGG_LAYERS: tuple[str | int, ...] = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512)  # VGG-16 up to relu4_1
VGG_CUTS = (0, 2, 7, 12, 19)  # of these layers and their ReLUs: relu1_1, relu2_1, relu3_1 and relu4_1 end a stage
VGG_WIDTH = 512  # channels of relu4_1
VGG_FILE = "vgg16-397923af.pth"  # of torchvision's VGG16_Weights.IMAGENET1K_V1; the name ends in its SHA-256
VGG_SMALLEST = 16  # pixels: relu4_1 has an eighth of them, and one position has no spread


class AutoencoderPerception(nn.Module):
    """A backbone that learns to keep, in its maps, what is needed to draw the image again."""

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField]) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = MapDecoder(backbone.dim, backbone.map_size(data.inputs.size), data)
        self.dim = backbone.dim

    def loss(self, batch: Batch) -> Tensor:
        """The mean squared error of the images drawn again."""
        return F.mse_loss(self.decoder(self.backbone.maps(batch.inputs)), batch.inputs)

    def levels(self, images: Tensor) -> list[Tensor]:
        """Maps from fine to coarse, (B,C,H,W) in [0,1] -> [(B,D_l,h_l,w_l)]."""
        return stage_maps(self.backbone, images)

    def encode(self, images: Tensor) -> Tensor:
        """(B,C,H,W) in [0,1] -> (B,D)."""
        return self.backbone(images)  # (B,D)


class ClassifierPerception(nn.Module):
    """A backbone that learns the labels."""

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField]) -> None:
        super().__init__()
        if not data.classes:
            raise NotApplicable("perception=classifier needs labels, and the source has none: take autoencoder")
        self.backbone = backbone
        self.classify = nn.Linear(backbone.dim, len(data.classes))
        self.dim = backbone.dim

    def loss(self, batch: Batch) -> Tensor:
        """The cross-entropy of the labels, which the batch must carry, in nats per image."""
        assert batch.labels is not None
        return F.cross_entropy(self.classify(self.backbone(batch.inputs)), batch.labels)  # nats per image

    def levels(self, images: Tensor) -> list[Tensor]:
        """Maps from fine to coarse, (B,C,H,W) in [0,1] -> [(B,D_l,h_l,w_l)]."""
        return stage_maps(self.backbone, images)

    def encode(self, images: Tensor) -> Tensor:
        """(B,C,H,W) in [0,1] -> (B,D)."""
        return self.backbone(images)  # (B,D)


class VggPerception(nn.Module):
    """torchvision's VGG-16 up to relu4_1, with the weights that lie in torch's hub cache; it is never trained here.

    Simonyan and Zisserman 2015, arXiv:1409.1556. Grey images are shown in three equal channels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, data: DataSpec[ImageField]) -> None:
        super().__init__()
        from torchvision.models.vgg import make_layers

        reason = too_small_for_vgg(data)
        if reason:
            raise NotApplicable(reason)
        weights = _vgg_weights()
        layers = make_layers(list(VGG_LAYERS))
        layers.load_state_dict({key: weights[f"features.{key}"] for key in layers.state_dict()})
        self.stages = nn.ModuleList(layers[start:end] for start, end in pairwise(VGG_CUTS))
        self.requires_grad_(False)
        self.dim = VGG_WIDTH
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))  # of ImageNet
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def levels(self, images: Tensor) -> list[Tensor]:
        """Maps from fine to coarse, (B,C,H,W) in [0,1] -> [(B,D_l,h_l,w_l)]."""
        maps = (images - self.mean) / self.std  # (B,3,H,W)
        levels = []
        for stage in self.stages:
            maps = stage(maps)
            levels.append(maps)
        return levels

    def encode(self, images: Tensor) -> Tensor:
        """(B,C,H,W) in [0,1] -> (B,D)."""
        return self.levels(images)[-1].mean((2, 3))  # (B,512)


class MapDecoder(nn.Sequential):
    """Maps back to an image: (B,D,h,w) -> (B,C,H,W) in [0,1].

    A 3x3 convolution to half the width and a doubling by nearest neighbours, until H is reached; then two more. No
    normalisation, since that would undo a style (Huang and Belongie 2017, section 7.1).
    """

    def __init__(self, dim: int, map_size: int, data: DataSpec[ImageField]) -> None:
        layers: list[nn.Module] = []
        while map_size < data.inputs.size:
            layers += [nn.Conv2d(dim, dim // 2, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2)]
            dim, map_size = dim // 2, 2 * map_size
        layers += [
            nn.Conv2d(dim, dim // 2, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(dim // 2, data.inputs.channels, 3, padding=1),
        ]
        super().__init__(*layers, nn.Sigmoid())
        self.size = data.inputs.size

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(maps)[..., : self.size, : self.size]


def stage_maps(backbone: Backbone, images: Tensor) -> list[Tensor]:
    """The maps at the end of each stage, the last of which are `backbone.maps(images)`: (B,D_l,h_l,w_l), fine first.

    A stage is a run of layers of one width, in a trunk whose layers act one after the other up to the spatial mean.
    Of any other trunk there is one level: the last maps.
    """
    layers = list(backbone.trunk.children())
    ends = [index for index, layer in enumerate(layers) if isinstance(layer, (SpatialMean, nn.AdaptiveAvgPool2d))]
    if not ends:
        return [backbone.maps(images)]
    maps = backbone.standardise(images)
    levels: list[Tensor] = []
    for layer in layers[: ends[0]]:
        before, maps = maps, layer(maps)
        if levels and before.shape[1] == maps.shape[1]:
            levels[-1] = maps
        else:
            levels.append(maps)
    return levels


def too_small_for_vgg(data: DataSpec[ImageField]) -> str:
    """Why VGG-16 makes no maps of such images; "" if it does."""
    if data.inputs.size < VGG_SMALLEST:
        return f"perception=vgg16 needs images of {VGG_SMALLEST} pixels and more: take autoencoder"
    return ""


def vgg_file() -> Path:
    """Where torchvision keeps the weights of VGG-16; they may not be there."""
    return Path(torch.hub.get_dir()) / "checkpoints" / VGG_FILE


def _vgg_weights() -> dict[str, Tensor]:
    """By name, as torchvision saves them. Raises NotApplicable with the place to put them."""
    file = vgg_file()
    if not file.is_file():
        raise NotApplicable(f"no VGG-16 weights: put torchvision's {file.name} into {file.parent}, or take autoencoder")
    return torch.load(file, map_location="cpu", weights_only=True)
