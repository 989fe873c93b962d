"""Find the one drawn shape of an image: what it is, its colour, its place and its size. Analysis by synthesis.

1. The background is what the border shows; what differs much from it gives the colour, by direction.
2. The cover of each pixel is its difference from the background along the colour: 0 is background, 1 is shape.
   What differs as much elsewhere is a second shape, or noise.
3. The sum of the cover is the area, whatever blurs the edge; its centre of mass gives the place.
4. Each kind of shape is drawn there, sharp and soft. The nearest drawing names the shape; if even that leaves too much
   of the cover unexplained, the image shows no shape.

n images, H=W=size pixels, K colours. Everything is computed on images as they come, without a learned part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil

import numpy as np

from harness.data.drawing import centroid, cover

CONTRAST = 0.15  # least difference from the background, in units of [0,1], that can be a shape
EDGE = 0.4  # of the largest difference: above lies the inside of the shape
REACH = 0.30  # half the side of the window that holds a shape, in image sizes
SAME_COLOUR = 0.9  # least cosine between a difference and that of the nearest colour
RADII = (0.11, 0.27)  # in image sizes; what is smaller or larger is no shape
STRENGTHS = (0.86, 0.96, 1.06)  # of the colour, in terms of the palette's
SOFTNESS = (0.0, 1.7)  # blurs of a drawing, in 3x3 binomial blurs
ELSEWHERE = 0.2  # most of the pixels that differ from the background that may lie outside the window
NOISE = 0.12  # most root mean square difference from the background where nothing is drawn, in [0,1]
UNEXPLAINED = 0.22  # most of a drawing's energy that the image may lack or have besides
ROWS = 256  # images at a time


@dataclass(frozen=True)
class DrawnShape:
    """What each of n images shows. Where `kind` is -1 nothing could be found, and the rest means nothing."""

    kind: np.ndarray  # int64 (n,): index into the hypotheses
    colour: np.ndarray  # int64 (n,): index into the colours
    x: np.ndarray  # float (n,): middle of the bounding box, pixels from the left
    y: np.ndarray  # float (n,): pixels from the top
    radius: np.ndarray  # float (n,): of the circle of the same area, in pixels


def read_shapes(images: np.ndarray, colours: np.ndarray, hypotheses: Sequence[tuple[str, bool]]) -> DrawnShape:
    """The shape of each image, uint8 (n,3,H,W), among `colours` (K,3) in [0,1] and `hypotheses` (kind, tilted)."""
    parts = [
        _read(images[start : start + ROWS], colours.astype(np.float32), hypotheses)
        for start in range(0, max(len(images), 1), ROWS)
    ]
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return DrawnShape(*(np.concatenate(column) for column in columns))


def _read(images: np.ndarray, colours: np.ndarray, hypotheses: Sequence[tuple[str, bool]]) -> DrawnShape:
    pixels = images.astype(np.float32) / np.float32(255)  # (n,3,H,W)
    low, high = (limit * pixels.shape[-1] for limit in RADII)
    away = pixels - _border(pixels)[:, :, None, None]
    strength = np.sqrt((away * away).sum(1))  # (n,H,W)
    inside = (strength > np.maximum(EDGE * _strongest(strength), CONTRAST)[:, None, None])[:, None]  # (n,1,H,W)
    marked = np.maximum(inside.sum((1, 2, 3)), 1)
    shape_mean = np.einsum("nchw,nhw->nc", pixels, inside[:, 0]) / marked[:, None]  # (n,3)
    column, row = _corner(inside[:, 0])  # (n,)
    window, background, noise = _cut_out(pixels, column, row)
    elsewhere = 1 - _windows(inside, column, row).sum((1, 2, 3)) / marked  # (n,): part of what differs, if any does
    colour, likeness, expected = _colour(shape_mean - background, background, colours)
    scene = _Scene.of(window - background[:, :, None, None], noise, expected)
    fit = _nearest(scene, hypotheses, low, high)
    plausible = (elsewhere < ELSEWHERE) & (likeness > SAME_COLOUR) & (noise < NOISE**2)
    plausible &= (fit.radius > low) & (fit.radius < high) & (fit.unexplained < UNEXPLAINED)
    offset = np.array([centroid(*hypothesis) for hypothesis in hypotheses], dtype=np.float32)[fit.kind]  # (n,2)
    return DrawnShape(
        kind=np.where(plausible, fit.kind, -1),
        colour=colour,
        x=column + scene.across - offset[:, 0] * fit.radius,
        y=row + scene.down - offset[:, 1] * fit.radius,
        radius=fit.radius,
    )


@dataclass(frozen=True)
class _Scene:
    """What a drawing must explain: a window of w x w pixels around the shape, in pixels from its corner."""

    covered: np.ndarray  # (n,w,w): how far each pixel is from the background to the colour
    beside: np.ndarray  # (n,): energy that no cover explains, for it has another colour
    noise: np.ndarray  # (n,): energy that is expected in the window without any shape
    contrast: np.ndarray  # (n,): squared distance of colour and background
    mass: np.ndarray  # (n,): area in pixels
    across: np.ndarray  # (n,): centre of mass, from the left
    down: np.ndarray  # (n,): from the top

    @classmethod
    def of(cls, away: np.ndarray, noise: np.ndarray, expected: np.ndarray) -> _Scene:
        """From the window's difference to the background (n,3,w,w), the noise per channel, the colour's difference."""
        contrast = np.maximum((expected * expected).sum(1), np.float32(1e-6))
        covered = np.einsum("nchw,nc->nhw", away, expected / contrast[:, None])
        mass = np.maximum(covered.sum((1, 2)), np.float32(1e-6))
        middles = np.arange(away.shape[-1], dtype=np.float32) + np.float32(0.5)
        return cls(
            covered=covered,
            beside=(away * away).sum((1, 2, 3)) - contrast * (covered * covered).sum((1, 2)),
            noise=noise * (3 * away.shape[-1] ** 2),
            contrast=contrast,
            mass=mass,
            across=covered.sum(1) @ middles / mass,
            down=covered.sum(2) @ middles / mass,
        )


@dataclass(frozen=True)
class _Fit:
    kind: np.ndarray  # int64 (n,)
    radius: np.ndarray  # (n,)
    unexplained: np.ndarray  # (n,)


def _nearest(scene: _Scene, hypotheses: Sequence[tuple[str, bool]], low: float, high: float) -> _Fit:
    """The drawing that leaves least of each scene unexplained, among kinds, strengths of colour, and blurs.

    A drawing d may be blurred, in part or a little more than once: d + t (blur(d) - d), with the best t of SOFTNESS.
    """
    size = scene.covered.shape[-1]
    left, radii = [], []
    for (kind, tilted), strength in product(hypotheses, STRENGTHS):
        radius = np.sqrt(scene.mass / np.float32(np.pi * strength))
        kept = np.clip(radius, low, high)  # others are refused anyway
        right, below = (shift * kept for shift in centroid(kind, tilted))
        drawn = cover(kind, scene.across - right, scene.down - below, kept, size, tilted=tilted) * np.float32(strength)
        rest, blur = scene.covered - drawn, _softened(drawn) - drawn
        soft = np.clip(_dot(rest, blur) / np.maximum(_dot(blur, blur), np.float32(1e-6)), *SOFTNESS)
        missed = _dot(rest, rest) - 2 * soft * _dot(rest, blur) + soft**2 * _dot(blur, blur)  # (n,)
        energy = np.maximum(scene.contrast * _dot(drawn, drawn), np.float32(1e-6))
        left.append((scene.beside + scene.contrast * missed - scene.noise) / energy)
        radii.append(radius)
    table = np.stack(left, axis=1)  # (n, kinds x strengths)
    best, rows = table.argmin(1), np.arange(len(table))
    return _Fit(best // len(STRENGTHS), np.stack(radii, axis=1)[rows, best], table[rows, best])


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The inner product of each image (n,H,W) with the other's: (n,)."""
    return np.einsum("nhw,nhw->n", one, other)


def _border(pixels: np.ndarray) -> np.ndarray:
    """The median of the outermost pixels, per channel: (n,3)."""
    edges = (pixels[:, :, 0], pixels[:, :, -1], pixels[:, :, 1:-1, 0], pixels[:, :, 1:-1, -1])
    return np.median(np.concatenate(edges, axis=2), axis=2)


def _strongest(strength: np.ndarray) -> np.ndarray:
    """The eighth largest difference of each image (n,): some pixels may be wild."""
    flat = strength.reshape(len(strength), strength.shape[1] * strength.shape[2])
    return np.partition(flat, -8, axis=1)[:, -8]


def _corner(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Column and row (n,) of the upper left corner of the window around the marked pixels (n,H,W)."""
    size = inside.shape[-1]
    half = ceil(REACH * size)
    marked = np.maximum(inside.sum((1, 2)), 1)
    places = np.arange(size)
    middles = ((inside.sum(axis) * places).sum(1) / marked for axis in (1, 2))
    column, row = (np.clip(np.rint(middle).astype(int) - half, 0, size - 2 * half - 1) for middle in middles)
    return column, row


def _cut_out(pixels: np.ndarray, column: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The window (n,3,w,w) and, outside of it, the mean (n,3) and the variance per channel (n,)."""
    window = _windows(pixels, column, row)
    outside = pixels.shape[-1] ** 2 - window.shape[-1] ** 2  # pixels
    mean = (pixels.sum((2, 3)) - window.sum((2, 3))) / np.float32(outside)
    square = (np.square(pixels).sum((1, 2, 3)) - np.square(window).sum((1, 2, 3))) / np.float32(3 * outside)
    return window, mean, np.maximum(square - (mean * mean).mean(1), 0)


def _windows(values: np.ndarray, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """The window of each image (n,C,H,W) with that corner: (n,C,w,w)."""
    width = 2 * ceil(REACH * values.shape[-1]) + 1
    rows, columns = (corner[:, None] + np.arange(width) for corner in (row, column))  # (n,w)
    images, channels = np.arange(len(values))[:, None, None, None], np.arange(values.shape[1])[None, :, None, None]
    return values[images, channels, rows[:, None, :, None], columns[:, None, None, :]]


def _colour(away: np.ndarray, background: np.ndarray, colours: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The colour nearest to a difference from the background (n,), the cosine (n,), its own difference (n,3)."""
    expected = colours[None] - background[:, None]  # (n,K,3)
    lengths = np.sqrt((expected * expected).sum(2)) * np.sqrt((away * away).sum(1))[:, None]  # (n,K)
    cosine = np.einsum("nkc,nc->nk", expected, away) / np.maximum(lengths, np.float32(1e-6))
    nearest, rows = cosine.argmax(1), np.arange(len(away))
    return nearest, cosine[rows, nearest], expected[rows, nearest]


def _softened(images: np.ndarray) -> np.ndarray:
    """(n,H,W) after a 3x3 binomial blur."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    return (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / np.float32(16)
