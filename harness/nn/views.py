"""Views of images for methods that compare them: random crops, mirrored, in other colours, blurred; in whole batches.

Every image has its own draws, from torch's global generator, on the images' device. A crop is resampled by two matrix
products, rows x image x columns, whose factors hold the interpolation weights (triangles, as bilinear; widened where a
crop is made smaller, so that nothing is skipped); mirroring reverses the columns, and a blur is one more factor. All
changes of colour are one affine map per image. Everything is computed in fp32, also under bf16 autocast.

Chen et al. 2020, arXiv:2002.05709, appendix A; Grill et al. 2020, arXiv:2006.07733, appendix B (solarisation).
Differs from these: colours change in one order (brightness, contrast, saturation, hue) instead of a random one, and hue
turns about the grey axis of RGB instead of HSV's angle; both are linear, so that one map does them all.

B images, C channels, H=W pixels, S=S pixels of a view.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log, pi
from typing import Any

import torch
from torch import Tensor

from harness.data.fields import DataSpec, ImageField
from harness.precision import full_precision

LUMA = (0.299, 0.587, 0.114)  # of red, green, blue: ITU-R BT.601, as PIL and torchvision weigh them
BLURRED_FROM = 64  # pixels: smaller images lose what they show
BLUR = 0.025  # mean deviation of a blur, as a fraction of the size: 1 pixel of 40, 2.4 of 96
RATIO = 4 / 3  # of the longer side of a crop to the shorter, at most


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """How the views of a method differ: a method's Config inherits these parameters. `none` takes what suits the data.

    Raises ValueError for what is no area, no probability and no strength.
    """

    crop: float = 0.3  # area of the smallest crop, as a fraction of the image in (0,1]; 1 crops nothing
    jitter: float = (
        0.4  # strength of changes of brightness and contrast, and for colours of saturation and hue, in [0,1]
    )
    grey: float = 0.2  # probability of losing the colours
    blur: float | None = None  # probability of a blur; none: 0.5 from 64 pixels on, else 0
    solarise: float = 0.0  # probability of inverting what is bright
    mirror: bool | None = None  # mirror half of the views left to right; none: where the dataset says that it may be

    def __post_init__(self) -> None:
        if not 0 < self.crop <= 1:
            raise ValueError(f"crop is {self.crop:g}, expected a fraction of the area in (0,1]")
        self.require_fractions("jitter", "grey", "blur", "solarise")

    def require_fractions(self, *names: str) -> None:
        """Raise ValueError unless each of these parameters is in [0,1], or none."""
        for name in names:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} is {value:g}, expected a number in [0,1]")


@dataclass(frozen=True, kw_only=True)
class Views:
    """Makes a view of each image when it is called: (B,C,H,W) in [0,1] -> fp32 (B,C,S,S) in [0,1], channels last.

    `dataclasses.replace(views, size=12, smallest=0.1, largest=0.4)` makes small crops of the same kind.
    """

    size: int  # S
    smallest: float = 1.0  # area of a crop, as a fraction of the image, drawn evenly between these two
    largest: float = 1.0
    ratio: float = RATIO  # of its sides, drawn evenly in the logarithm between 1/ratio and ratio
    mirror: float = 0.0  # probability of being mirrored left to right
    brightness: float = 0.0  # b: a factor in [1-b,1+b]
    contrast: float = 0.0  # of the distance from the mean grey, in [1-c,1+c]
    saturation: float = 0.0  # of the distance from grey, in [1-s,1+s]
    hue: float = 0.0  # h: a turn about the grey axis by [-h,h] of a full turn
    jittered: float = 0.8  # probability that these four happen
    grey: float = 0.0  # probability of losing the colours
    blur: float = 0.0  # probability of a blur
    solarise: float = 0.0  # probability of inverting what is brighter than a half

    def __call__(self, images: Tensor) -> Tensor:
        with full_precision(images.device), torch.no_grad():
            views = self._resampled(images.float())  # (B,C,S,S)
            if self.brightness or self.contrast or self.saturation or self.hue or self.grey:
                views = self._recoloured(views)
            if self.solarise:
                chosen = _happens(self.solarise, len(views), views.device)[:, None, None, None]
                views = torch.where(chosen & (views > 0.5), 1 - views, views)
        return views.contiguous(memory_format=torch.channels_last)

    def _resampled(self, images: Tensor) -> Tensor:
        """Cropped, resized, mirrored and blurred: (B,C,H,W) -> (B,C,S,S)."""
        n, size, device = len(images), images.shape[-1], images.device
        area = torch.empty(n, device=device).uniform_(self.smallest, self.largest)
        widest = area.log().neg_().clamp_(max=log(self.ratio))  # a crop of almost all of a square is almost a square
        half = torch.empty(n, device=device).uniform_(-0.5, 0.5) * widest  # of the logarithm of the ratio
        extent = area.sqrt() * torch.stack([half.exp(), (-half).exp()]) * size  # (2,B) pixels: height, width
        start = torch.rand(2, n, device=device) * (size - extent)  # (2,B): top, left
        mirrored = _happens(self.mirror, n, device) if self.mirror else None
        weights = interpolation(start, extent, size, self.size, mirrored)  # (2,B,S,H)
        if self.blur:
            weights = _blurring(self.blur, n, self.size, device) @ weights
        return resampled(images, weights[0], weights[1])

    def _recoloured(self, views: Tensor) -> Tensor:
        """One affine map of the channels per image, clamped to [0,1]: (B,C,S,S) -> (B,C,S,S)."""
        n, channels, device = len(views), views.shape[1], views.device
        jittered = _happens(self.jittered, n, device)
        brightness = _factor(self.brightness, jittered)  # (B,)
        contrast = _factor(self.contrast, jittered)
        mean = _luma(views).mean((1, 2)) * brightness  # (B,), after the change of brightness
        shift = ((1 - contrast) * mean)[:, None, None, None]  # the same for every channel: greys stay grey
        scale = brightness * contrast  # (B,)
        if channels != 3:
            return (views * scale[:, None, None, None] + shift).clamp_(0, 1)
        matrix = scale[:, None, None] * self._colour_matrix(jittered)  # (B,3,3)
        turned = torch.baddbmm(shift.view(n, 1, 1), matrix, views.reshape(n, 3, -1))  # (B,3,S*S)
        return turned.clamp_(0, 1).view_as(views)

    def _colour_matrix(self, jittered: Tensor) -> Tensor:
        """Hue after saturation, then grey for some: (B,3,3), of which every row sums to 1."""
        n, device = len(jittered), jittered.device
        one, luma = torch.eye(3, device=device), torch.tensor(LUMA, device=device).expand(3, 3)
        kept = _factor(self.saturation, jittered)[:, None, None]
        matrix = kept * one + (1 - kept) * luma  # (B,3,3)
        if self.hue:
            angle = 2 * pi * torch.empty(n, device=device).uniform_(-self.hue, self.hue) * jittered
            matrix = turns_about_grey(angle) @ matrix
        if self.grey:
            lost = _happens(self.grey, n, device)[:, None, None]
            matrix = torch.where(lost, luma @ matrix, matrix)
        return matrix


def views_for(data: DataSpec[ImageField], config: ViewConfig, **changes: Any) -> Views:
    """The views of a config for images like `data`: without colours where there are none, without a blur where small.

    data: the source, whose `inputs.mirror` says whether its images may be mirrored. changes: of fields of Views.
    """
    field = data.inputs
    colours, mirror = field.channels == 3, field.mirror if config.mirror is None else config.mirror
    blur = (0.5 if field.size >= BLURRED_FROM else 0.0) if config.blur is None else config.blur
    views = Views(
        size=field.size,
        smallest=config.crop,
        mirror=0.5 if mirror else 0.0,
        brightness=config.jitter,
        contrast=config.jitter,
        saturation=config.jitter if colours else 0.0,
        hue=config.jitter / 4 if colours else 0.0,
        grey=config.grey if colours else 0.0,
        blur=blur,
        solarise=config.solarise,
    )
    return replace(views, **changes)


def two_views(views: Views, images: Tensor) -> Tensor:
    """Two views of each image as one batch, so that they share its statistics: (B,C,H,W) -> (2B,C,S,S), all first ones
    before all second ones."""
    return views(torch.cat([images, images]))


def interpolation(start: Tensor, extent: Tensor, size: int, out: int, mirrored: Tensor | None = None) -> Tensor:
    """Weights of H pixels for each of S: (2,B) corners and sides in pixels -> (2,B,S,H), of which every row sums to 1.

    Pixel i of a view lies at start + (i + 1/2) extent / S of the image, whose pixel j has its centre at j + 1/2, and
    weighs the pixels by a triangle about there, of half the width max(1, extent / S); beyond the border it takes the
    border's. mirrored: bool (B,), whose columns ([1]) are reversed; None: none.
    """
    device = start.device
    places = (torch.arange(out, device=device) + 0.5) / out  # (S,) in (0,1)
    fractions = places.expand(2, start.shape[1], out)  # (2,B,S)
    if mirrored is not None:
        flipped = torch.stack([torch.zeros_like(mirrored), mirrored])[..., None]  # (2,B,1)
        fractions = torch.where(flipped, 1 - fractions, fractions)
    centres = torch.addcmul(start[..., None] - 0.5, extent[..., None], fractions).clamp_(0, size - 1)  # (2,B,S)
    inverse = (out / extent).clamp_(max=1)[..., None, None]  # (2,B,1,1): 1 / half the width
    apart = torch.arange(size, device=device) - centres[..., None]  # (2,B,S,H)
    weights = apart.abs_().mul_(inverse).neg_().add_(1).clamp_(min=0)
    return weights.div_(weights.sum(-1, keepdim=True))


def resampled(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """rows (B,S,H) x images (B,C,H,W), channels last in memory, x columns (B,S,W), transposed -> (B,C,S,S)."""
    n, channels, height, width = images.shape
    lines = rows @ images.permute(0, 2, 3, 1).reshape(n, height, width * channels)  # (B,S,W*C): all channels at once
    planes = lines.view(n, -1, width, channels).permute(0, 3, 1, 2).reshape(n, -1, width)  # (B,C*S,W)
    return (planes @ columns.mT).view(n, channels, rows.shape[1], columns.shape[1])


def turns_about_grey(angle: Tensor) -> Tensor:
    """Rotations of RGB about (1,1,1), by Rodrigues' formula: radians (B,) -> (B,3,3). Greys stay as they are."""
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=angle.device) / 3**0.5  # v -> k x v
    along = torch.full((3, 3), 1 / 3, device=angle.device)  # v -> k (k . v)
    c, s = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return c * torch.eye(3, device=angle.device) + s * cross + (1 - c) * along


def _blurring(chance: float, n: int, size: int, device: torch.device) -> Tensor:
    """Gaussians over the S pixels of a view for those that are blurred, the identity for the others: (B,S,S)."""
    deviation = torch.empty(n, 1, 1, device=device).uniform_(0.1, 2.0) * (BLUR * size)
    chosen = _happens(chance, n, device)[:, None, None]
    places = torch.arange(size, device=device, dtype=torch.float32)
    apart = (places[:, None] - places).square()  # (S,S)
    weights = (-apart / (2 * deviation.square())).exp()
    weights = weights / weights.sum(-1, keepdim=True)
    return torch.where(chosen, weights, torch.eye(size, device=device))


def _luma(images: Tensor) -> Tensor:
    """(B,C,H,W) -> grey (B,H,W)."""
    if images.shape[1] != 3:
        return images.mean(1)
    return torch.einsum("bchw,c->bhw", images, torch.tensor(LUMA, device=images.device))


def _factor(strength: float, happens: Tensor) -> Tensor:
    """Evenly in [1 - strength, 1 + strength] for those to which it happens, else 1: (B,)."""
    drawn = torch.empty(len(happens), device=happens.device).uniform_(1 - strength, 1 + strength)
    return torch.where(happens, drawn, 1.0)


def _happens(chance: float, n: int, device: torch.device) -> Tensor:
    """bool (B,), each true with this probability."""
    return torch.rand(n, device=device) < chance
