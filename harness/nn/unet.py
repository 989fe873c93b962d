"""A small U-Net that maps a noisy image, its time and what was asked for to a field of the image's shape.

Ronneberger et al. 2015, arXiv:1505.04597, in the form of Ho et al. 2020, arXiv:2006.11239, appendix B: residual blocks
with GroupNorm and SiLU, conditioned in every block. Scale and shift come from the embedding (Dhariwal and Nichol 2021,
arXiv:2105.05233, section 3.1).

The run's backbone encodes the noisy image, and its features are added to the embedding of time and condition: it is the
global eye of the network, and so learns with it. A linear layer lays the embedding out over the lowest resolution, so
that a caption can tell a place.

Differs from the papers, for the sake of speed: images of 12 pixels and more are cut into patches by the first
convolution and put together by a pixel shuffle (a quarter of the cost), two resolutions, one block each on the way
down, no attention.

B images, C channels, H=W pixels, D features of the backbone, E embedding dimensions, W maps of the first resolution,
P=Q positions a side of a map.
"""

from __future__ import annotations

from itertools import pairwise
from math import log, prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.fields import DataSpec, ImageField
from harness.nn.backbone import Backbone
from harness.nn.conditions import ConditionEncoder

GROUPS = 8  # of each GroupNorm
LEVELS = 2  # resolutions
FREQUENCIES = 32  # of the time embedding
TIME_SCALE = 1000.0  # times in [0,1] are embedded as the 1,000 integer times of the paper


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, (B,I,P,Q) -> (B,O,P,Q); the embedding scales and shifts between them."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.first_norm = nn.GroupNorm(GROUPS, inputs)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * outputs)
        self.second_norm = nn.GroupNorm(GROUPS, outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, maps: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)  # (B,O,1,1) twice
        inner = self.first(F.silu(self.first_norm(maps)))  # (B,O,P,Q)
        inner = torch.addcmul(shift, self.second_norm(inner), 1 + scale)
        return self.shortcut(maps) + self.second(F.silu(inner))


class ConditionalUNet(nn.Module):
    """Noisy images (B,C,H,W) of about unit variance, times (B,) in [0,1], a condition -> a field (B,C,H,W).

    `condition` is "labels", "captions", or "" where nothing can be asked for. A row whose `asked` is 0, or all rows
    without a condition, are seen as if nothing had been asked for.
    """

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], *, width: int, condition: str = "") -> None:
        super().__init__()
        self.backbone = backbone  # (B,C,H,W) in [0,1] -> (B,D)
        self.patch = 2 if data.inputs.size >= 12 else 1
        dim = 4 * width  # E
        widths = [width * 2**level for level in range(LEVELS)]
        self.time = nn.Linear(2 * FREQUENCIES, dim)
        self.seen = nn.Linear(backbone.dim, dim)
        self.wish = nn.Sequential(ConditionEncoder(condition, data, dim), nn.LayerNorm(dim)) if condition else None
        self.joint = nn.Linear(dim, dim)
        self.stem = nn.Conv2d(data.inputs.channels, width, self.patch + 2, stride=self.patch, padding=1)
        self.encoder = nn.ModuleList(ResidualBlock(each, each, dim) for each in widths)
        self.shrink = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in pairwise(widths)
        )
        lowest = -(-data.inputs.size // (self.patch * 2 ** (LEVELS - 1)))
        self.lowest = (lowest, lowest, widths[-1])  # (P,Q,maps) of the lowest resolution
        self.layout = nn.Linear(dim, prod(self.lowest))
        self.middle = ResidualBlock(widths[-1], widths[-1], dim)
        self.decoder = nn.ModuleList(ResidualBlock(2 * each, each, dim) for each in widths)
        self.grow = nn.ModuleList(nn.Conv2d(coarse, fine, 3, padding=1) for fine, coarse in pairwise(widths))
        self.last_norm = nn.GroupNorm(GROUPS, 2 * width)
        self.last = nn.Conv2d(2 * width, data.inputs.channels * self.patch**2, 3, padding=1)

    def forward(
        self, noisy: Tensor, time: Tensor, condition: Tensor | None = None, asked: Tensor | None = None
    ) -> Tensor:
        return self._activations(noisy, time, condition, asked)["field"]

    def guided(self, noisy: Tensor, time: Tensor, condition: Tensor | None, weight: float) -> Tensor:
        """(1 + w) f(x, c) - w f(x), classifier-free guidance: Ho and Salimans 2022, arXiv:2207.12598, equation 6."""
        if condition is None or weight == 0:
            return self(noisy, time, condition)
        asked = torch.cat([time.new_ones(len(noisy)), time.new_zeros(len(noisy))])
        twice = self(noisy.repeat(2, 1, 1, 1), time.repeat(2), torch.cat([condition, condition]), asked)
        with_condition, without = twice.chunk(2)
        return (1 + weight) * with_condition - weight * without

    def features(self, noisy: Tensor, time: Tensor) -> dict[str, Tensor]:
        """What the network makes of noisy images, (B,D) by name: maps are averaged over positions.

        backbone   the features of the backbone
        inner      the middle block and the first decoder block, at the lowest resolution
        outer      the last decoder block, at the highest
        """
        found = self._activations(noisy, time, None, None)
        inner = torch.cat([found["middle"], found[f"decoder {LEVELS - 1}"]], 1)
        return {"inner": inner.mean((2, 3)), "outer": found["decoder 0"].mean((2, 3)), "backbone": found["backbone"]}

    def _activations(
        self, noisy: Tensor, time: Tensor, condition: Tensor | None, asked: Tensor | None
    ) -> dict[str, Tensor]:
        found = {"backbone": self.backbone((noisy + 1) / 2)}  # (B,D)
        embedding = self._embedding(found["backbone"], time, condition, asked)  # (B,E)
        size = noisy.shape[-1]
        stem = maps = self.stem(self._padded(noisy))  # (B,W,P,P)
        skips = []
        for level, block in enumerate(self.encoder):
            maps = self.shrink[level - 1](maps) if level else maps  # half the resolution, twice the maps
            maps = block(maps, embedding)
            skips.append(maps)
        layout = self.layout(embedding).unflatten(1, self.lowest).permute(0, 3, 1, 2)  # where things are to be
        found["middle"] = maps = self.middle(maps + layout, embedding)
        for level in reversed(range(LEVELS)):
            maps = self.decoder[level](torch.cat([maps, skips[level]], 1), embedding)
            found[f"decoder {level}"] = maps
            maps = self.grow[level - 1](F.interpolate(maps, scale_factor=2.0)) if level else maps
        patches = self.last(F.silu(self.last_norm(torch.cat([maps, stem], 1))))  # (B,C*patch^2,P,P)
        found["field"] = F.pixel_shuffle(patches, self.patch)[..., :size, :size]  # (B,C,H,W)
        return found

    def _embedding(self, seen: Tensor, time: Tensor, condition: Tensor | None, asked: Tensor | None) -> Tensor:
        embedding = self.time(time_embedding(time)) + self.seen(seen)
        if condition is not None:
            assert self.wish is not None, "the network was built without a condition"
            wish = self.wish(condition)  # (B,E)
            embedding = embedding + (wish if asked is None else wish * asked[:, None])
        return F.silu(self.joint(F.silu(embedding)))  # (B,E)

    def _padded(self, images: Tensor) -> Tensor:
        """Enlarged to the right and below until every level divides it, with what lies at the edge."""
        missing = -images.shape[-1] % (self.patch * 2 ** (LEVELS - 1))
        return F.pad(images, (0, missing, 0, missing), mode="replicate") if missing else images


def time_embedding(time: Tensor) -> Tensor:
    """Sines and cosines of times (B,) in [0,1] at geometric frequencies -> (B, 2 * FREQUENCIES)."""
    powers = torch.arange(FREQUENCIES, device=time.device) / FREQUENCIES
    angles = TIME_SCALE * time[:, None] * torch.exp(-log(10_000) * powers)
    return torch.cat([angles.sin(), angles.cos()], 1)
