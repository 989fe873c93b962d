"""Images as sequences of square patches, and where each of them is.

B images, C channels, H=W pixels, S pixels of a patch's side, h,w patches, L=h*w, P=C*S*S values of a patch, D features,
K patches that are kept. Patches are in reading order: from left to right, and row by row.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def patches_of(images: Tensor, side: int) -> Tensor:
    """Images cut into patches: (B,C,H,W) -> (B,L,P), the values of a patch channel by channel.

    A side that is no multiple of `side` is continued by zeros, to the right and below: in standardised images that is
    the mean colour.

    >>> patches_of(torch.arange(16.0).view(1, 1, 4, 4), 2)[0, 1].tolist()
    [2.0, 3.0, 6.0, 7.0]
    """
    images = F.pad(images, (0, -images.shape[3] % side, 0, -images.shape[2] % side))
    batch, channels, height, width = images.shape
    cut = images.reshape(batch, channels, height // side, side, width // side, side)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * side * side)  # (B,h,w,C,S,S) -> (B,L,P)


def tubes_of(clips: Tensor, side: int, frames: int) -> Tensor:
    """Clips cut into tubes of `frames` frames: (B,T,C,H,W) -> (B,t*L,F*P), time by time, the values frame by frame.

    The last frame is repeated where T is no multiple of `frames`; for the sides see `patches_of`.
    """
    missing = -clips.shape[1] % frames
    if missing:
        clips = torch.cat([clips, clips[:, -1:].expand(-1, missing, -1, -1, -1)], 1)
    layered = clips.reshape(-1, frames * clips.shape[2], *clips.shape[3:])  # (B*t,F*C,H,W)
    return patches_of(layered, side).unflatten(0, (len(clips), -1)).flatten(1, 2)


def images_of(patches: Tensor, side: int, size: tuple[int, int]) -> Tensor:
    """Patches put together again, the inverse of `patches_of`: (B,L,P) -> (B,C,H,W), where `size` is (H,W)."""
    height, width = grid_of(size, side)
    cut = patches.reshape(len(patches), height, width, -1, side, side)
    images = cut.permute(0, 3, 1, 4, 2, 5).reshape(len(patches), -1, height * side, width * side)
    return images[..., : size[0], : size[1]]


def grid_of(size: tuple[int, int], side: int) -> tuple[int, int]:
    """How many patches there are in each column and row, (h,w), of images of (H,W) pixels.

    >>> grid_of((28, 9), 4)
    (7, 3)
    """
    return (-(-size[0] // side), -(-size[1] // side))


def chosen(values: Tensor, places: Tensor) -> Tensor:
    """Those of (B,L,D), or of (1,L,D) for all images, at the places (B,K) -> (B,K,D)."""
    values = values.expand(len(places), -1, -1)
    return values.gather(1, places.unsqueeze(-1).expand(-1, -1, values.shape[-1]))


def sincos_positions(grid: tuple[int, int], dim: int, native: tuple[int, int] | None = None) -> Tensor:
    """Sines and cosines of where each patch is: float32 (L,D), one half for the row and one for the column.

    Vaswani et al. 2017, arXiv:1706.03762, section 3.5, in two dimensions as He et al. 2022, arXiv:2111.06377, take it:
    half of each half are sines, with wavelengths from 2 pi to 10,000 * 2 pi. A grid other than the `native` one lies
    evenly over it, so that images of any size are as wide and as high.
    Raises ValueError where D is no multiple of 4.
    """
    if dim % 4:
        raise ValueError(f"positions need a multiple of 4 features, not {dim}")
    rows, columns = (
        (torch.arange(count, dtype=torch.float64) + 0.5) * (of / count) - 0.5
        for count, of in zip(grid, native or grid, strict=True)
    )
    frequencies = 10_000.0 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))  # (D/4,)
    by_row, by_column = (torch.outer(places, frequencies) for places in (rows, columns))  # (h,D/4), (w,D/4)
    waves = [torch.cat([angles.sin(), angles.cos()], 1) for angles in (by_row, by_column)]  # (h,D/2), (w,D/2)
    height, width = grid
    down = waves[0].unsqueeze(1).expand(-1, width, -1)
    across = waves[1].unsqueeze(0).expand(height, -1, -1)
    return torch.cat([down, across], 2).reshape(height * width, dim).float()
