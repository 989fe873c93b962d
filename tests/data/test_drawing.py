"""Drawn shapes against polygons that Pillow fills at a high resolution, and against their area."""

from __future__ import annotations

from math import cos, pi, sin, sqrt

import numpy as np
import pytest
from PIL import Image, ImageDraw

from harness.data.drawing import DISTANCES, centroid, cover

FINE = 16  # Pillow's pixels per pixel and axis
KINDS = [(kind, tilted) for kind in DISTANCES for tilted in (False, True)]


def outline(kind: str) -> list[tuple[float, float]]:
    """Corners of a shape with the area of a circle of radius 1, from its defining proportions."""
    if kind in ("circle", "ellipse"):
        wide = sqrt(1.75) if kind == "ellipse" else 1.0
        return [(wide * cos(turn), sin(turn) / wide) for turn in np.linspace(0, 2 * pi, 400)]
    if kind == "square":
        half = sqrt(pi) / 2
        return [(-half, -half), (half, -half), (half, half), (-half, half)]
    if kind == "triangle":  # base = height
        height = sqrt(2 * pi)
        return [(0, -height / 2), (height / 2, height / 2), (-height / 2, height / 2)]
    width = sqrt(pi / 5)  # a cross of five squares
    a, b = width / 2, 1.5 * width
    quarter = [(a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b)]
    return quarter + [(-x, -y) for x, y in quarter]


def filled(kind: str, tilted: bool, x: float, y: float, radius: float, size: int) -> np.ndarray:
    """(H,W) in [0,1]: the polygon with the middle of its bounding box at (x,y)."""
    corners = np.array(outline(kind)) * radius
    if tilted:
        corners = corners @ np.array([[1, 1], [-1, 1]]) / sqrt(2)  # clockwise, for y points down
    corners += np.array([x, y]) - (corners.min(0) + corners.max(0)) / 2
    image = Image.new("L", (size * FINE, size * FINE))
    ImageDraw.Draw(image).polygon([tuple(corner * FINE - 0.5) for corner in corners], fill=1)
    return np.asarray(image, dtype=float).reshape(size, FINE, size, FINE).mean((1, 3))


def drawn(kind: str, tilted: bool, x: float, y: float, radius: float, size: int, stroke: float | None = None):
    return cover(kind, *(np.array([value]) for value in (x, y, radius)), size, tilted=tilted, stroke=stroke)[0]


@pytest.mark.parametrize(("kind", "tilted"), KINDS)
@pytest.mark.parametrize("place", [(16.0, 16.0, 6.0), (12.3, 18.9, 4.6), (20.77, 13.1, 7.4)])
def test_cover_is_that_of_the_filled_polygon(kind: str, tilted: bool, place: tuple[float, float, float]) -> None:
    found, expected = drawn(kind, tilted, *place, 32), filled(kind, tilted, *place, 32)
    assert np.abs(found - expected).mean() < 0.005
    assert np.abs(found - expected).max() < 0.35  # sharp corners are cut where a line of half a pixel would be
    assert found.sum() == pytest.approx(pi * place[2] ** 2, rel=0.03)


@pytest.mark.parametrize(("kind", "tilted"), KINDS)
def test_centroid_is_where_the_mass_is(kind: str, tilted: bool) -> None:
    covered = drawn(kind, tilted, 30.0, 34.0, 12.0, 64)
    middles = np.arange(64) + 0.5
    across, down = covered.sum(0) @ middles / covered.sum(), covered.sum(1) @ middles / covered.sum()
    right, below = centroid(kind, tilted)
    assert (across, down) == pytest.approx((30 + 12 * right, 34 + 12 * below), abs=0.1)


@pytest.mark.parametrize(("kind", "tilted"), KINDS)
def test_stroke_is_a_line_inside_the_edge(kind: str, tilted: bool) -> None:
    whole, line = drawn(kind, tilted, 32, 32, 16, 64), drawn(kind, tilted, 32, 32, 16, 64, stroke=1.5)
    assert (line <= whole + 1e-12).all()
    assert line[30:34, 30:34].max() == pytest.approx(0)
    assert line.max() == pytest.approx(1)
    thick = drawn(kind, tilted, 32, 32, 16, 64, stroke=100.0)
    np.testing.assert_allclose(thick, whole)


def test_tilt_by_a_quarter_twice_is_symmetric_for_a_square_only() -> None:
    square = drawn("square", True, 16, 16, 6, 32)
    np.testing.assert_allclose(square, np.rot90(square), atol=1e-12)
    triangle = drawn("triangle", True, 16, 16, 6, 32)
    assert np.abs(triangle - np.rot90(triangle)).max() > 0.9
