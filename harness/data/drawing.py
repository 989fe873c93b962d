"""Anti-aliased drawing of simple shapes by their signed distance: the same numbers on every machine.

A pixel at signed distance d from the edge, in pixels and negative inside, is covered by clip(1/2 - d, 0, 1).
Only additions, products, quotients and square roots of IEEE numbers are used, which round alike everywhere.

n shapes, H=W=size pixels; x to the right and y down, in pixels from the upper left corner of the image. A shape's
place is the middle of its bounding box; its radius is that of the circle of the same area, so that shapes of one
radius are equally large.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt

import numpy as np

SQUARE = sqrt(pi) / 2  # half a side, in radii
TRIANGLE = sqrt(2 * pi)  # height and base
CROSS = sqrt(9 * pi / 20)  # half an arm's length, which is three times as long as wide
ELLIPSE = (sqrt(1.75), 1 / sqrt(1.75))  # half axes: 1.75 times as wide as high

Distance = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _circle(u: np.ndarray, v: np.ndarray, radius: np.ndarray) -> np.ndarray:
    return np.sqrt(u * u + v * v) - radius


def _ellipse(u: np.ndarray, v: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """To first order at the edge: f (f - 1) / |f grad f| for f = sqrt((u/a)^2 + (v/b)^2)."""
    a, b = (radius * axis for axis in ELLIPSE)
    p, q = u / a, v / b
    f = np.sqrt(p * p + q * q)
    p, q = p / a, q / b
    return f * (f - 1) / np.maximum(np.sqrt(p * p + q * q), 1e-3 / radius)


def _square(u: np.ndarray, v: np.ndarray, radius: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(u), np.abs(v)) - SQUARE * radius


def _triangle(u: np.ndarray, v: np.ndarray, radius: np.ndarray) -> np.ndarray:
    half = TRIANGLE * radius / 2
    return np.maximum(v - half, (2 * np.abs(u) - v - half) / sqrt(5))


def _cross(u: np.ndarray, v: np.ndarray, radius: np.ndarray) -> np.ndarray:
    u, v = np.abs(u), np.abs(v)
    arm = CROSS * radius
    return np.minimum(np.maximum(u - arm, v - arm / 3), np.maximum(u - arm / 3, v - arm))


DISTANCES: dict[str, Distance] = {
    "circle": _circle,
    "ellipse": _ellipse,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
}


def cover(
    kind: str,
    x: np.ndarray,
    y: np.ndarray,
    radius: np.ndarray,
    size: int,
    *,
    tilted: bool = False,
    stroke: float | None = None,
) -> np.ndarray:
    """The part of each pixel, in [0,1], that each of n shapes covers: (n,H,W), from x, y and radius (n,).

    `tilted`: turned clockwise by 45 degrees. `stroke`: only a line along the inside of the edge, so many pixels wide.
    """
    x, y, radius = (values[:, None, None] for values in (x, y, radius))
    right, down = _middle(kind, tilted)
    middles = np.arange(size, dtype=x.dtype) + 0.5
    u = middles[None, None, :] - x + right * radius  # (n,1,W): from the shape's own origin
    v = middles[None, :, None] - y + down * radius  # (n,H,1)
    if tilted:
        u, v = (u + v) * sqrt(0.5), (v - u) * sqrt(0.5)  # (n,H,W)
    distance = DISTANCES[kind](u, v, radius)  # (n,H,W)
    covered = np.clip(0.5 - distance, 0.0, 1.0)
    return covered if stroke is None else covered - np.clip(0.5 - stroke - distance, 0.0, 1.0)


def centroid(kind: str, tilted: bool = False) -> tuple[float, float]:
    """Where the centre of the area lies, to the right of and below the middle of the bounding box, in radii."""
    if kind != "triangle":
        return 0.0, 0.0
    right, down = _middle(kind, tilted)
    below = TRIANGLE / 6
    return (-below * sqrt(0.5) - right, below * sqrt(0.5) - down) if tilted else (0.0, below)


def _middle(kind: str, tilted: bool) -> tuple[float, float]:
    """The middle of the bounding box seen from the origin of the distance function, in radii."""
    shift = TRIANGLE * sqrt(0.5) / 4 if kind == "triangle" and tilted else 0.0
    return -shift, shift
