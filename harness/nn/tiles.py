"""Tiles of images for tasks about places: cut at random places within the cells of a grid, and standardised.

B images, C channels, H=W pixels, G grid side, P=G*G tiles of T pixels. Each tile is drawn anew by torch's global
generator. Noroozi and Favaro 2016, arXiv:1603.09246, section 3.3; Doersch et al. 2015, arXiv:1505.05192, section 3.1.
"""

from __future__ import annotations

import torch
from torch import Tensor

FLAT = 0.02  # the smallest deviation that a tile is divided by: a flat tile stays flat, its noise is not blown up


def cut_tiles(images: Tensor, grid: int, cell: int, tile: int, gap: int = 0) -> Tensor:
    """One tile from a random place within each cell: (B,C,H,W) -> (B,P,C,T,T), cells row by row.

    grid, cell, tile: G, the side of a cell, and T, in pixels; what G cells leave over, to the right and below, is not
    used. gap: the fewest pixels that are left between the tiles of neighbouring cells; with 0 their edges may touch.
    Raises ValueError if the cells do not fit into the image, or tile and gap into the cell.
    """
    if grid * cell > images.shape[-1] or tile + gap > cell:
        raise ValueError(
            f"{grid} cells of {cell} pixels, each with a tile of {tile} and a gap of {gap}, do not fit into "
            f"{images.shape[-1]} pixels"
        )
    n, device = len(images), images.device
    start = torch.arange(grid, device=device) * cell
    corner = torch.stack([start.repeat_interleave(grid), start.repeat(grid)])[:, None]  # (2,1,P)
    corner = corner + torch.randint(cell - tile - gap + 1, (2, n, grid * grid), device=device)  # (2,B,P)
    span = torch.arange(tile, device=device)
    rows = (corner[0, :, :, None] + span)[..., :, None]  # (B,P,T,1)
    columns = (corner[1, :, :, None] + span)[..., None, :]  # (B,P,1,T)
    index = torch.arange(n, device=device)[:, None, None, None]
    return images.movedim(1, -1)[index, rows, columns].movedim(-1, 2)  # (B,P,C,T,T)


def standardise_tiles(tiles: Tensor) -> Tensor:
    """Zero mean and unit deviation for each channel of each tile, (..., T, T); a flat tile becomes zeros."""
    centred = tiles - tiles.mean((-2, -1), keepdim=True)
    return centred / centred.square().mean((-2, -1), keepdim=True).sqrt().clamp_min(FLAT)
