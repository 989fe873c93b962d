"""Tiles: where they are cut, the gap between them, and what is left of brightness and contrast."""

from __future__ import annotations

import pytest
import torch

from harness.nn.tiles import cut_tiles, standardise_tiles


def test_every_tile_is_cut_from_its_own_cell() -> None:
    """Each pixel holds the number of its cell and, in a second channel, its place."""
    cell = torch.arange(9).view(3, 3).repeat_interleave(5, 0).repeat_interleave(5, 1).float()
    place = torch.arange(225).view(15, 15).float()
    images = torch.stack([cell, place]).expand(50, 2, 15, 15)
    tiles = cut_tiles(images, grid=3, cell=5, tile=4)
    assert tiles.shape == (50, 9, 2, 4, 4)
    assert torch.equal(tiles[:, :, 0], torch.arange(9.0).view(1, 9, 1, 1).expand(50, 9, 4, 4))
    steps = tiles[:, :, 1].diff(dim=-1)
    assert torch.equal(steps, torch.ones_like(steps))  # neighbours stay neighbours
    corners = {tuple(corner.tolist()) for corner in tiles[:, 0, 1, 0, 0].unsqueeze(1)}
    assert corners == {(0.0,), (1.0,), (15.0,), (16.0,)}  # the gap is drawn anew


def test_standardised_tiles_tell_neither_brightness_nor_contrast() -> None:
    tiles = torch.rand(4, 4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    done = standardise_tiles(tiles)
    torch.testing.assert_close(done.mean((-2, -1)), torch.zeros(4, 4, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(done.std((-2, -1), correction=0), torch.ones(4, 4, 3))
    torch.testing.assert_close(standardise_tiles(0.3 * tiles + 0.5), done, atol=1e-4, rtol=0)
    flat = standardise_tiles(torch.full((1, 1, 1, 3, 3), 0.7))
    torch.testing.assert_close(flat, torch.zeros(1, 1, 1, 3, 3), atol=1e-5, rtol=0)


def test_neighbouring_tiles_keep_their_gap() -> None:
    """A channel counts columns: from the last one of a tile to the first one of the tile to its right."""
    columns = torch.arange(27.0).view(1, 1, 1, 27).expand(400, 1, 27, 27)
    for gap, distances in ((0, {1, 2, 3, 4, 5}), (1, {2, 3, 4}), (2, {3})):
        tiles = cut_tiles(columns, grid=3, cell=9, tile=7, gap=gap)
        found = tiles[:, 1, 0, 0, 0] - tiles[:, 0, 0, 0, -1]
        assert set(found.long().tolist()) == distances  # 1: the edges touch


@pytest.mark.parametrize(("cell", "tile", "gap"), [(10, 7, 0), (9, 10, 0), (9, 7, 3)])
def test_what_does_not_fit_is_an_error(cell: int, tile: int, gap: int) -> None:
    with pytest.raises(ValueError, match="do not fit into 28 pixels"):
        cut_tiles(torch.zeros(1, 1, 28, 28), 3, cell, tile, gap)
