"""Relative patches: on which side of the one was the other? Doersch et al. 2015, arXiv:1505.05192, section 3.

B images, C channels, H=W pixels, V cuts of each, G grid side, P=G*G patches of T pixels, D features, K=8 answers.
A pair is two patches from neighbouring cells of a grid, each cut at a random place within its cell. The trunk sees one
patch at a time, the head both features, and tells on which of the eight sides of the first the second was.
Against shortcuts, as in the paper: a gap, so that lines do not run on from one patch into the next; jitter of the
places; chromatic aberration, by which a lens tells where in the image a patch was: each patch keeps one channel.
Differs from the paper: each cut gives one question for every answer, with patches in common; the kept channel takes
the place of the others, which the paper fills with noise; patches of 10 pixels (for 28), standardised one by one; no
resampling; a small head, AdamW.
The encoder is judged on whole images, each standardised by itself as the patches are: what it has learned to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from harness.nn.tiles import cut_tiles, standardise_tiles
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, NotApplicable, hookimpl

# The answers: rows down and columns to the right, from the first patch to the second.
SIDES = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0))
SMALLEST = 3  # pixels of a patch


@dataclass(frozen=True, kw_only=True)
class Config:
    grid: int = 2  # cells along each side, 2 or 3
    patch: float = 0.7  # side of a patch as a fraction of its cell
    gap: float = 0.1  # least gap between the patches of neighbours, as a fraction of the cell; at least one pixel
    cuts: int = 2  # of each image in a batch, each with its own places: eight questions each
    colour: Literal["one", "all"] = "one"  # channels that a patch keeps: one, drawn anew, or all of them
    hidden: int = 256  # units of the head's hidden layer

    def __post_init__(self) -> None:
        if not 0 < self.patch < 1 or not 0 <= self.gap < 1:
            raise ValueError("patch and gap are fractions of the cell in (0,1)")
        if self.patch + self.gap > 1:
            raise ValueError("patch and gap together must not exceed the cell: 1")
        if self.grid not in (2, 3):
            raise ValueError("grid must be 2 or 3")
        if self.cuts < 1 or self.hidden < 1:
            raise ValueError("cuts and hidden must be at least 1")


class RelativePatch(nn.Module):
    pairs: Tensor
    counts: Tensor

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        reason = applies(data, config)
        if reason:
            raise NotApplicable(reason)
        if not backbone.any_size:
            raise NotApplicable("relative-patch needs a backbone that takes patches; this one is bound to whole images")
        self.config = config
        self.cell, self.patch, self.gap = sizes(data, config)
        pairs = [neighbours(config.grid, side) for side in SIDES]
        self.register_buffer("counts", torch.tensor([len(each) for each in pairs]))  # (K,)
        self.register_buffer("pairs", pad_sequence([torch.tensor(each) for each in pairs], batch_first=True))  # (K,M,2)
        self.backbone = backbone  # (V*B*P,C,T,T) -> (V*B*P,D)
        self.head = nn.Sequential(
            nn.Linear(2 * backbone.dim, config.hidden), nn.ReLU(), nn.Linear(config.hidden, len(SIDES))
        )  # (V*B*K,2*D) -> (V*B*K,K)

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        images = batch.inputs.repeat(self.config.cuts, 1, 1, 1)  # (V*B,C,H,W)
        patches = cut_tiles(images, self.config.grid, self.cell, self.patch, self.gap)  # (V*B,P,C,T,T)
        if self.config.colour == "one":
            patches = one_channel(patches)
        n, patches = len(patches), standardise_tiles(patches)
        features = self.backbone.trunk(patches.flatten(0, 1)).unflatten(0, (n, -1))  # (V*B,P,D)
        asked = self.ask(n)  # (V*B,K,2)
        posed = features[torch.arange(n, device=asked.device)[:, None, None], asked].flatten(2)  # (V*B,K,2*D)
        answers = torch.arange(len(SIDES), device=asked.device).repeat(n)  # (V*B*K,)
        return self.head(posed.flatten(0, 1)), answers

    def ask(self, n: int) -> Tensor:
        """One pair of patches for each answer, n times, drawn from all pairs that stand so: (n,K,2)."""
        drawn = (torch.rand(n, len(SIDES), device=self.counts.device) * self.counts).long()  # (n,K)
        return self.pairs[torch.arange(len(SIDES), device=drawn.device), drawn]

    def loss(self, batch: Batch) -> Tensor:
        logits, answers = self.solve(batch)
        batch.log("accuracy", (logits.argmax(1) == answers).float().mean())
        return F.cross_entropy(logits, answers)  # nats per pair

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone.trunk(self.trunk_inputs(images))  # (B,D)

    def trunk_inputs(self, images: Tensor) -> Tensor:
        return standardise_tiles(images)  # the image as one large patch


def sizes(data: DataSpec[ImageField], config: Config) -> tuple[int, int, int]:
    """The sides of a cell and of a patch, and the least gap, in pixels."""
    cell = data.inputs.size // config.grid
    gap = max(1, round(config.gap * cell))
    return cell, min(round(config.patch * cell), cell - gap), gap


def applies(data: DataSpec[ImageField], config: Config) -> str:
    if sizes(data, config)[1] < SMALLEST:
        return f"patches of {data.inputs.size}-pixel images would have fewer than {SMALLEST} pixels"
    return ""


def neighbours(grid: int, side: tuple[int, int]) -> list[tuple[int, int]]:
    """All pairs of cells, numbered row by row, of which the second lies on that side of the first."""
    cells = list(product(range(grid), repeat=2))
    beside = {(row, column): (row + side[0], column + side[1]) for row, column in cells}
    return [(cells.index(one), cells.index(other)) for one, other in beside.items() if other in cells]


def one_channel(patches: Tensor) -> Tensor:
    """Each patch (B,P,C,T,T) with one of its channels, drawn anew, in the place of all."""
    n, count, channels = patches.shape[:3]
    if channels == 1:
        return patches
    kept = torch.randint(channels, (n, count, 1, 1, 1), device=patches.device)
    return patches.take_along_dim(kept, 2).expand_as(patches)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="relative-patch",
        kind="pretext",
        build=RelativePatch,
        config=Config,
        source="arXiv:1505.05192",
        applies=applies,
    )
