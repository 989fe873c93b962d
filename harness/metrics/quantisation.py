"""Codes as bits: uniform quantisation, what each symbol costs, and the choice between settings.

N images, C channels, H=W pixels, L code dimensions or positions of symbols, A symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from harness.metrics.similarity import peak_signal_to_noise, squared_error

STEPS = (8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125)  # in deviations
LARGEST_SYMBOL = 2**10  # on either side of the mean
BLOCK = 2048  # images in memory at once


@dataclass(frozen=True, kw_only=True)
class Point:
    """One setting, measured on some images."""

    title: str  # "0.5 deviations of each dimension"
    bits: float  # per image
    error: float  # mean squared, in [0,1]

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio in dB; infinite where nothing was lost."""
        return float(peak_signal_to_noise(torch.tensor(self.error, dtype=torch.float64)))


@dataclass(frozen=True, kw_only=True)
class Coder:
    """One way to store an image: the symbols of an image's code, the image of symbols, and what the symbols cost."""

    title: str
    symbols: Callable[[Tensor], Tensor]  # code (N,L) -> int64 (N,L) from 0
    images: Callable[[Tensor], Tensor]  # symbols (N,L) -> (N,C,H,W)
    costs: Tensor  # (L,A) bits of each symbol at each position

    def measured(self, codes: Tensor, images: Tensor) -> Point:
        """Bits and error of codes (N,L) of uint8 images (N,C,H,W)."""
        symbols = self.symbols(codes)
        errors = [
            squared_error(truth.to(torch.float32) / 255.0, self.images(part))
            for truth, part in zip(images.split(BLOCK), symbols.split(BLOCK), strict=True)
        ]
        bits = float(code_length(self.costs, symbols).mean())
        return Point(title=self.title, bits=bits, error=float(torch.cat(errors).mean()))


def symbol_costs(symbols: Tensor, sizes: Tensor, pooled: bool = False) -> Tensor:
    """-log2 p_l(a) from training symbols (N,L), with a in [0, sizes_l): (L,A) float64, infinite beyond the size.

    p_l(a) = (n_l(a) + A/2 base(a)) / (N + A/2), half a count for each of A = sizes_l symbols. `base` is uniform; or,
    where positions share an alphabet, the share of each symbol at all positions together, smoothed in the same way.
    """
    n, positions = symbols.shape
    largest = int(sizes.max())
    index = torch.arange(positions) * largest + symbols  # (N,L)
    counts = torch.bincount(index.flatten(), minlength=positions * largest).double().view(positions, largest)
    possible = torch.arange(largest) < sizes[:, None]  # (L,A)
    base = possible.double() / sizes[:, None]
    half = sizes[:, None].double() / 2
    if pooled:
        total = counts.sum(0)
        base = ((total + 0.5) / (total.sum() + largest / 2)).expand_as(counts)
    return -((counts + half * base) / (n + half)).log2()


def code_length(costs: Tensor, symbols: Tensor) -> Tensor:
    """Bits of each row of symbols (N,L) under costs (L,A): (N,) float64."""
    return costs.gather(1, symbols.T).sum(0)


def quantisers(train: Tensor, decode: Callable[[Tensor], Tensor]) -> list[Callable[[], Coder]]:
    """What makes a coder of each step, with distributions counted on training codes (N,L), not all of them equal.

    The steps are STEPS times the deviation of each dimension, and times one for all, their root mean square.
    """
    mean, own = train.mean(0), train.std(0, correction=0)  # (L,)
    shared = own.square().mean().sqrt().expand_as(own)
    kinds = (("deviations of each dimension", own), ("deviations of all dimensions", shared))
    return [
        partial(_quantiser, train, mean, step * scale, f"{step:g} {kind}", decode)
        for kind, scale in kinds
        for step in STEPS
    ]


def _quantiser(train: Tensor, mean: Tensor, step: Tensor, title: str, decode: Callable[[Tensor], Tensor]) -> Coder:
    safe = torch.where(step > 0, step, torch.ones_like(step))

    def integers(codes: Tensor) -> Tensor:
        """(N,L) -> int64 (N,L), 0 in a dimension that is flat in training."""
        scaled = ((codes - mean) / safe).round().clamp(-LARGEST_SYMBOL, LARGEST_SYMBOL)
        return torch.where(step > 0, scaled, torch.zeros_like(scaled)).long()

    fitted = integers(train)
    low, high = fitted.amin(0), fitted.amax(0)  # (L,)
    return Coder(
        title=title,
        symbols=lambda codes: integers(codes).clamp(low, high) - low,
        images=lambda symbols: decode(mean + (symbols + low) * step),
        costs=symbol_costs(fitted - low, high - low + 1),
    )


def cheapest(points: Sequence[Point], allowed: float) -> int:
    """The setting with the fewest bits among those with at most this error, or the one with the least error."""
    good = [index for index, point in enumerate(points) if point.error <= allowed]
    if not good:
        return min(range(len(points)), key=lambda index: points[index].error)
    return min(good, key=lambda index: points[index].bits)


def best_within(points: Sequence[Point], bits: float) -> int:
    """The setting with the least error among those of at most so many bits, or the one with the fewest bits."""
    good = [index for index, point in enumerate(points) if point.bits <= bits]
    if not good:
        return min(range(len(points)), key=lambda index: points[index].bits)
    return min(good, key=lambda index: points[index].error)


def frontier(points: Sequence[Point]) -> list[int]:
    """The settings that no other one beats in both bits and error, from few bits to many."""
    order = sorted(range(len(points)), key=lambda index: (points[index].bits, points[index].error))
    kept: list[int] = []
    for index in order:
        if not kept or points[index].error < points[kept[-1]].error:
            kept.append(index)
    return kept
