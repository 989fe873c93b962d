"""Jigsaw puzzles: in which order were the tiles? Noroozi and Favaro 2016, arXiv:1603.09246, section 3.

B images, C channels, H=W pixels, V puzzles of each, G grid side, P=G*G tiles of T pixels, D features, K permutations.
Against shortcuts: each tile is cut at a random place within its cell, so that edges seldom meet, and standardised by
its own mean and deviation, so that brightness tells nothing. The permutations are a max-min set: each new one is as
far as can be from the nearest that was chosen, so no two are alike (with 2x2 tiles: all 24).
Differs from the paper: several puzzles of an image in a batch (Kolesnikov et al. 2019, arXiv:1901.09005, have eight),
tiles of 10 pixels (for 28), a smaller head, AdamW.
The encoder is judged on whole images, each standardised by itself as the tiles are: what it has learned to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from math import factorial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.tiles import cut_tiles, standardise_tiles
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, NotApplicable, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    grid: int = 2  # tiles along each side, 2 or 3
    permutations: int = 100  # how many orders to tell apart; 2x2 tiles have no more than 24
    tile: float = 0.76  # side of a tile as a fraction of its cell: the rest is the random gap
    puzzles: int = 4  # of each image in a batch, every one with its own tiles and order
    hidden: int = 256  # units of the head's hidden layer

    def __post_init__(self) -> None:
        if self.grid not in (2, 3):
            raise ValueError("grid must be 2 or 3")
        if self.permutations < 2 or self.puzzles < 1 or self.hidden < 1:
            raise ValueError("permutations must be at least 2, puzzles and hidden at least 1")
        if not 0 < self.tile < 1:
            raise ValueError("tile is a fraction of the cell in (0,1): at 1 the edges of neighbours would meet")


class Jigsaw(nn.Module):
    orders: Tensor

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        reason = applies(data, config)
        if reason:
            raise NotApplicable(reason)
        self.cell, self.tile = tile_sizes(data, config)
        if not backbone.any_size:
            raise NotApplicable("jigsaw needs a backbone that takes tiles; this one is bound to whole images")
        tiles = config.grid**2
        self.register_buffer("orders", torch.from_numpy(permutation_set(tiles, config.permutations)))  # (K,P)
        self.backbone = backbone  # (V*B*P,C,T,T) -> (V*B*P,D)
        self.head = nn.Sequential(
            nn.Linear(tiles * backbone.dim, config.hidden), nn.ReLU(), nn.Linear(config.hidden, len(self.orders))
        )  # (V*B,P*D) -> (V*B,K)

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        images = batch.inputs.repeat(self.config.puzzles, 1, 1, 1)  # (V*B,C,H,W)
        tiles = standardise_tiles(cut_tiles(images, self.config.grid, self.cell, self.tile))  # (V*B,P,C,T,T)
        n = len(tiles)
        answers = torch.randint(len(self.orders), (n,), device=tiles.device)  # (V*B,)
        shuffled = tiles[torch.arange(n, device=tiles.device)[:, None], self.orders[answers]]  # (V*B,P,C,T,T)
        features = self.backbone.trunk(shuffled.flatten(0, 1))  # (V*B*P,D)
        return self.head(features.view(n, -1)), answers

    def loss(self, batch: Batch) -> Tensor:
        logits, answers = self.solve(batch)
        batch.log("accuracy", (logits.argmax(1) == answers).float().mean())
        return F.cross_entropy(logits, answers)  # nats per puzzle

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone.trunk(self.trunk_inputs(images))  # (B,D)

    def trunk_inputs(self, images: Tensor) -> Tensor:
        return standardise_tiles(images)  # the image as one large tile


def tile_sizes(data: DataSpec[ImageField], config: Config) -> tuple[int, int]:
    """The side of a cell, and T, in pixels."""
    cell = data.inputs.size // config.grid
    return cell, int(cell * config.tile)


def applies(data: DataSpec[ImageField], config: Config) -> str:
    if tile_sizes(data, config)[1] < 3:
        return f"{config.grid}x{config.grid} tiles of {data.inputs.size}-pixel images have fewer than 3 pixels"
    return ""


def permutation_set(tiles: int, count: int, seed: int = 0) -> np.ndarray:
    """(K,P) int64: `count` orders of `tiles` tiles (at most all), greedily far apart in Hamming distance.

    The first is random; each next one has the largest distance to its nearest chosen one. The set depends on `seed`
    alone, not on the run's, so that all runs pose the same task.
    """
    everything = np.array(list(permutations(range(tiles))), dtype=np.int64)
    if count >= factorial(tiles):
        return everything
    chosen = [int(np.random.default_rng(seed).integers(len(everything)))]
    nearest = np.full(len(everything), tiles + 1)
    while len(chosen) < count:
        nearest = np.minimum(nearest, (everything != everything[chosen[-1]]).sum(1))
        chosen.append(int(nearest.argmax()))
    return everything[chosen]


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="jigsaw", kind="pretext", build=Jigsaw, config=Config, source="arXiv:1603.09246", applies=applies
    )
