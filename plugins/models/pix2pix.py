"""Pix2pix: translate images of a paired domain, given pairs. Isola et al. 2017, arXiv:1611.07004, equations 1 to 4.

B images, C channels, H=W pixels, D features, h=w positions of the backbone's maps.
The generator G is a U-Net on paired images. The discriminator judges, patch by patch, whether an image is the real one
of a paired image; its eye for images is the backbone, where the representation is read: it sees images of the source's
own domain, real and translated. G's loss is -log D(paired image, G(paired image)) plus 100 times L1.
With gan_weight=0 there is no discriminator and no backbone: the plain L1 regression, read at G's bottleneck. With
skips=false besides, it is the autoencoder of the same size that translates through its bottleneck.
Differs from the paper: paired image and image meet after a tower each, not as input channels, so that the backbone
takes images alone; batches of more than one; a narrower U-Net (see harness.nn.translators); L1 is of [-1,1] as there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.adversarial import discriminator_loss, non_saturating
from harness.nn.translators import SLOPE, PatchTower, UNet, same_for_all, symmetric_l1
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, NotApplicable, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    l1_weight: float = 100.0  # lambda
    gan_weight: float = 1.0  # 0: no discriminator
    skips: bool = True  # False: everything passes the bottleneck
    dropout: float = 0.5  # in G's innermost decoder level, the paper's only noise; none in eval mode
    width: int = 16  # channels of G's first level
    patch_width: int = 16  # channels of the first layer of the paired image's tower

    def __post_init__(self) -> None:
        if self.l1_weight < 0 or self.gan_weight < 0 or self.l1_weight + self.gan_weight == 0:
            raise ValueError("l1_weight and gan_weight must not be negative, nor both 0")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout is a probability in [0,1)")
        if self.width < 1 or self.patch_width < 1:
            raise ValueError("width and patch_width must be at least 1")


class PairDiscriminator(nn.Module):
    """Is each patch of the image real, given the paired image? (B,C,H,W) twice -> logits (B,1,h,w)."""

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], width: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.tower = PatchTower(data.inputs.channels, width)
        joined = self.tower.dim + backbone.dim
        self.judge = nn.Sequential(
            nn.Conv2d(joined, 4 * width, 1), nn.LeakyReLU(SLOPE), nn.Conv2d(4 * width, 1, 3, padding=1)
        )

    def forward(self, paired: Tensor, images: Tensor) -> Tensor:
        seen = self.backbone.maps(images)  # (B,D,h,w)
        given = F.adaptive_avg_pool2d(self.tower(paired), seen.shape[-1])  # (B,2*width,h,w)
        return self.judge(torch.cat([given, seen], 1))


class Pix2Pix(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        if not data.paired_domain:
            raise NotApplicable("needs a paired image of each image: choose a dataset with pairs, such as shapes")
        self.config = config
        self.generator = UNet(data, config.width, skips=config.skips, dropout=config.dropout)
        if config.gan_weight:
            backbone.map_size(data.inputs.size)  # raises where the backbone has no maps
            self.discriminator = PairDiscriminator(backbone, data, config.patch_width)

    @property
    def backbone(self) -> Backbone:
        return self.discriminator.backbone  # (B,C,H,W) -> (B,D)

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        paired, images = batch.paired, batch.inputs
        assert paired is not None
        translated = self.generator(paired)  # (B,C,H,W)
        l1 = symmetric_l1(translated, images)
        batch.log("l1", l1)
        loss = self.config.l1_weight * l1
        if self.config.gan_weight:
            real = self.discriminator(paired, images)
            fake = self.discriminator(paired, translated.detach())
            told_apart = discriminator_loss(real, fake) / 2  # halved, as in the authors' code
            batch.log("discriminator", told_apart)
            yield "discriminator", told_apart
            fooled = non_saturating(self.discriminator(paired, translated))
            batch.log("generator", fooled)
            loss = loss + self.config.gan_weight * fooled
        yield "generator", loss

    def translate(self, paired: Tensor) -> Tensor:
        return self.generator(paired)  # (B,C,H,W)

    def readouts(self) -> tuple[str, ...]:
        return ("discriminator", "generator bottleneck") if self.config.gan_weight else ("generator bottleneck",)

    def read(self, images: Tensor, readout: str) -> Tensor:
        if readout == "discriminator":
            return self.backbone(images)  # (B,D)
        return self.generator.bottleneck(images).mean((2, 3))  # (B,4*width) or, from 24 pixels on, twice that

    def encode(self, images: Tensor) -> Tensor:
        return self.read(images, self.readouts()[0])

    def diagnose(self, images: Tensor) -> str:
        return same_for_all(self.translate(images), images)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="pix2pix",
        kind="model",
        build=Pix2Pix,
        config=Config,
        source="arXiv:1611.07004",
        uses=("paired",),
        recipe={"batch_size": 64, "learning_rate": 1e-3, "beta1": 0.5, "weight_decay": 0.0, "clip_norm": 0.0},
    )
