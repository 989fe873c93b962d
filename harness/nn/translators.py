"""Networks from image to image, and what judges their output patch by patch.

B images, C channels, H=W pixels, W width, L levels, h=w positions of a map. Images are in [0,1] outside and in [-1,1]
inside the networks, as in the papers; they stay float32 where layers compute in bfloat16. Sized for 8 to 32 pixels.
U-Net and PatchGAN: Isola et al. 2017, arXiv:1611.07004, section 6.1; residual generator: Zhu et al. 2017,
arXiv:1703.10593, section 7.2.
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.fields import DataSpec, ImageField

SLOPE = 0.2  # of the leaky ReLU, as in DCGAN
FIRST_MASK = -2.2  # logit of a tenth


class UNet(nn.Module):
    """Down by halves and up again, with the maps of the way down added on the way up: (B,C,H,W) -> (B,C,H,W).

    Without `skips` it is a plain autoencoder with exactly the same weights. Of 24 pixels and more L is 3, below it 2.
    Differs from the paper: skips are added, not concatenated, so that both have one size; a first map of full
    resolution; dropout in the innermost level of the decoder alone.
    """

    def __init__(self, data: DataSpec[ImageField], width: int, *, skips: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        self.skips = skips
        levels = 3 if data.inputs.size >= 24 else 2
        widths = [width * 2**level for level in range(levels + 1)]
        self.stem = nn.Conv2d(data.inputs.channels, width, 3, padding=1)
        pairs = list(pairwise(widths))
        self.downs = nn.ModuleList(_halved(narrow, wide) for narrow, wide in pairs)
        self.ups = nn.ModuleList(_doubled(wide, narrow) for narrow, wide in reversed(pairs))
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(width, data.inputs.channels, 3, padding=1)
        self.multiple = 2**levels
        self.dim = widths[-1]  # channels of the bottleneck

    def bottleneck(self, images: Tensor) -> Tensor:
        """(B,C,H,W) in [0,1] -> the innermost maps (B,W*2^L,H/2^L,H/2^L)."""
        return self._down(images)[-1]

    def forward(self, images: Tensor) -> Tensor:
        *outer, maps = self._down(images)
        for up, skip in zip(self.ups, reversed(outer), strict=True):
            maps = up(maps)
            maps = self.dropout(maps) if skip is outer[-1] else maps
            maps = F.relu(maps + skip if self.skips else maps)
        size = images.shape[-1]
        return to_unit_range(self.head(maps)[..., :size, :size].float().tanh())

    def _down(self, images: Tensor) -> list[Tensor]:
        """The maps of every level, of full resolution first."""
        extra = -images.shape[-1] % self.multiple
        maps = [F.leaky_relu(self.stem(F.pad(2 * images - 1, (0, extra, 0, extra))), SLOPE)]
        for down in self.downs:
            maps.append(down(maps[-1]))
        return maps


class ResidualTranslator(nn.Module):
    """Convolutions that halve the resolution, residual blocks, and up again: (B,C,H,W) -> (B,C,H,W).

    It draws an image and a mask m in (0,1), and gives m * drawn + (1 - m) * input: what both domains share needs no
    drawing (Mejjati et al. 2018, arXiv:1806.02311, equation 1). At first the mask is a tenth everywhere.
    Instance normalisation throughout, so that an image is translated by itself in training too. The resolution is
    halved once below 24 pixels, and twice from there on, where the blocks have 2W channels.
    Differs from CycleGAN's paper: the mask; no layers of full resolution, 4x4 in place of 7x7 at both ends, zero
    padding, fewer and narrower blocks, which is a small part of the work.
    """

    def __init__(self, data: DataSpec[ImageField], width: int, blocks: int) -> None:
        super().__init__()
        halvings = 2 if data.inputs.size >= 24 else 1
        pairs = list(pairwise([data.inputs.channels, width, 2 * width][: halvings + 1]))
        layers: list[nn.Module] = []
        for narrow, wide in pairs:
            layers += _normalised(nn.Conv2d(narrow, wide, 4, stride=2, padding=1), wide)
        layers += [ResidualBlock(pairs[-1][1]) for _ in range(blocks)]
        for narrow, wide in reversed(pairs[1:]):
            layers += _normalised(nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1), narrow)
        last = nn.ConvTranspose2d(width, data.inputs.channels + 1, 4, stride=2, padding=1)
        assert last.bias is not None
        nn.init.constant_(last.bias[-1:], FIRST_MASK)
        self.layers = nn.Sequential(*layers, last)
        self.multiple = 2**halvings

    def forward(self, images: Tensor) -> Tensor:
        size = images.shape[-1]
        extra = -size % self.multiple
        logits = self.layers(F.pad(2 * images - 1, (0, extra, 0, extra)))[..., :size, :size].float()  # (B,C+1,H,W)
        return images.lerp(logits[:, :-1].sigmoid(), logits[:, -1:].sigmoid())


class ResidualBlock(nn.Module):
    """x + IN(conv(ReLU(IN(conv(x))))): (B,W,h,w) -> (B,W,h,w)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first = _normalised(nn.Conv2d(width, width, 3, padding=1), width)
        self.layers = nn.Sequential(*first, nn.Conv2d(width, width, 3, padding=1), nn.InstanceNorm2d(width))

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.layers(maps)


class PatchTower(nn.Sequential):
    """The two layers of a PatchGAN below its judgement: (B,C,H,W) in [0,1] -> (B,2W,H/4,H/4)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(
            ToSymmetricRange(),
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
        )
        self.dim = 2 * width


class PatchDiscriminator(nn.Module):
    """Is each patch of an image genuine? (B,C,H,W) in [0,1] -> logits (B,1,H/4,H/4).

    Differs from the paper: two layers, and no normalisation, since patches of small images have few positions.
    """

    def __init__(self, data: DataSpec[ImageField], width: int) -> None:
        super().__init__()
        self.tower = PatchTower(data.inputs.channels, width)
        self.judge = nn.Conv2d(self.tower.dim, 1, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.judge(self.tower(images))


class ToSymmetricRange(nn.Module):
    """[0,1] -> [-1,1]."""

    def forward(self, images: Tensor) -> Tensor:
        return 2 * images - 1


def to_unit_range(images: Tensor) -> Tensor:
    """[-1,1] -> [0,1]."""
    return (images + 1) / 2


def symmetric_l1(translated: Tensor, images: Tensor) -> Tensor:
    """Mean absolute difference of (B,C,H,W) in [0,1], in the papers' units: of pixels in [-1,1]."""
    return 2 * F.l1_loss(translated, images)


def same_for_all(translated: Tensor, images: Tensor) -> str:
    """Why a translator is of no use, or nothing: different images (B,C,H,W) must not all become one."""
    given, made = (float(each.detach().var(0).mean()) for each in (images, translated))
    if made >= 1e-3 * given:
        return ""
    return f"collapsed translator: the variance between its images is {made:.2g}, that between its inputs {given:.2g}"


def _halved(narrow: int, wide: int) -> nn.Sequential:
    conv = nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(wide), nn.LeakyReLU(SLOPE))


def _doubled(wide: int, narrow: int) -> nn.Sequential:
    conv = nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(narrow))


def _normalised(conv: nn.Module, width: int) -> list[nn.Module]:
    return [conv, nn.InstanceNorm2d(width), nn.ReLU()]
