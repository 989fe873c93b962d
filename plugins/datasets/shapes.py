"""Drawn shapes whose causes are known: shape, colour, size, place; with captions and pairs. Seeded, made offline.

Every image shows one shape. Its factors are drawn independently, but for four of the 24 pairs of shape and colour,
which only `unseen` shows. What is no factor varies freely: the exact place inside its third, the radius, the shade of
the colour, the background. So no two images are equal, and yet the pixels tell every factor exactly.

A paired image is the same scene in another domain: as an outline, or by day where the images are of the night.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.plugin import DatasetSpec, DataSpec, Factor, ImageField, TextField, hookimpl

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from harness.plugin import RawData, Rows

DRAWING = 1  # to be raised with every change of harness.data.drawing that changes pixels: this file is the fingerprint
COLOURS = {
    "red": (0.90, 0.10, 0.10),
    "green": (0.10, 0.65, 0.15),
    "blue": (0.10, 0.20, 0.90),
    "yellow": (0.95, 0.90, 0.05),
    "magenta": (0.90, 0.10, 0.90),
    "cyan": (0.05, 0.80, 0.90),
}
HELD_OUT = ((0, "blue"), (1, "yellow"), (2, "red"), (3, "green"))  # (shape, colour) that only `unseen` shows
UNSEEN = 500  # images
SIZES = ("small", "large")
RADIUS = ((0.13, 0.15), (0.18, 0.20))  # small, large; in image sizes
COLUMNS = ("left", "centre", "right")
ROWS = ("top", "middle", "bottom")
THIRDS = ((0.265, 0.305), (0.365, 0.635), (0.695, 0.735))  # where the middle of a shape may be, in image sizes
TURNS = ("upright", "tilted")
SHADE = (0.86, 1.0)  # factor on the colour
GREY = (0.78, 0.94)  # of the background by day
NIGHT_LIGHT = (0.80, 0.80, 0.95)  # what is left of a shape's colour by night
NIGHT_SKY = (0.09, 0.10, 0.18)  # what is left of the background
TARGETS = ("x in pixels", "y in pixels", "radius in pixels")  # see harness.data.drawing
CHUNK = 128  # images drawn at a time


@dataclass(frozen=True, kw_only=True)
class Config:
    n: int = 10_000  # images for training and validation
    test: int = 2_000  # images for testing
    size: int = 32  # height and width in pixels, 16 to 256
    seed: int = 0  # of the scenes
    translation: Literal["outline-to-filled", "day-to-night"] = "outline-to-filled"  # from paired images to images
    orientation: bool = False  # one more factor, upright or tilted; ellipses take the place of circles

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 256:
            raise ValueError(f"size={self.size}: expected 16 to 256 pixels, so that shapes can be told apart")
        if self.n < 100 or self.test < 20:
            raise ValueError(f"n={self.n}, test={self.test}: expected at least 100 and 20 images")

    @property
    def shapes(self) -> tuple[str, ...]:
        return ("ellipse" if self.orientation else "circle", "square", "triangle", "cross")

    @property
    def night(self) -> bool:
        return self.translation == "day-to-night"


def factors_of(config: Config) -> tuple[Factor, ...]:
    """The factors in the order of their columns."""
    turn = (Factor(name="orientation", values=TURNS, in_caption=False),) if config.orientation else ()
    return (
        Factor(name="shape", values=config.shapes),
        Factor(name="colour", values=tuple(COLOURS)),
        Factor(name="size", values=SIZES),
        Factor(name="horizontal", values=COLUMNS),
        Factor(name="vertical", values=ROWS),
        *turn,
    )


def describe(config: Config, root: Path) -> DataSpec[ImageField]:
    return DataSpec(
        inputs=ImageField(channels=3, size=config.size),
        classes=config.shapes,
        paired_domain="day" if config.night else "outline",
        factors=factors_of(config),
        targets=TARGETS,
        regions=("background", *config.shapes),
        captions=TextField(),
    )


def files(config: Config, root: Path) -> list[Path]:
    """This file: with the config it says everything about the images."""
    return [Path(__file__)]


def load(config: Config, root: Path) -> RawData:
    from dataclasses import replace

    test, unseen = _part(config, "test", config.test), _part(config, "unseen", UNSEEN)
    return replace(_part(config, "training", config.n), test=test, unseen=unseen)


def _part(config: Config, part: str, n: int) -> RawData:
    import torch

    from harness.plugin import RawData

    factors, nuisance = _scenes(config, part, n)
    images, paired = _drawn(config, factors, nuisance)
    return RawData(
        inputs=torch.from_numpy(images),
        labels=torch.from_numpy(factors[:, 0].copy()),
        captions=[caption(row, config) for row in factors.tolist()],
        paired=torch.from_numpy(paired),
        factors=torch.from_numpy(factors),
        targets=torch.from_numpy((nuisance[:, :3] * config.size).astype("float32")),
    )


def _scenes(config: Config, part: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """What `part` shows: factors int64 (n,F); x, y, radius in image sizes, shade and grey as float64 (n,5).

    Each pair of shape and colour is as frequent as the others, to within one image.
    """
    import numpy as np

    from harness.seeding import derived_seed

    held_out = {(shape, list(COLOURS).index(colour)) for shape, colour in HELD_OUT}
    every = set(product(range(4), range(len(COLOURS))))
    pairs = np.array(sorted(held_out if part == "unseen" else every - held_out))
    draws = np.random.Generator(np.random.PCG64(derived_seed(config.seed, "shapes", part))).random((n, 10))
    order = draws[:, 0].argsort(kind="stable")
    counts = [len(factor.values) for factor in factors_of(config)[2:]]
    others = (draws[:, 1 : 1 + len(counts)] * counts).astype(np.int64)  # size, horizontal, vertical, orientation
    factors = np.concatenate([pairs[order % len(pairs)], others], axis=1)
    ranges = [np.array(THIRDS)[others[:, 1]], np.array(THIRDS)[others[:, 2]], np.array(RADIUS)[others[:, 0]]]
    low, high = np.stack([*ranges, *(np.tile(limits, (n, 1)) for limits in (SHADE, GREY))], axis=1).transpose(2, 0, 1)
    return factors, low + (high - low) * draws[:, 5:]


def _drawn(config: Config, factors: np.ndarray, nuisance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images and paired images, uint8 (n,3,H,W)."""
    import numpy as np

    shape = (len(factors), 3, config.size, config.size)
    images, paired = np.empty(shape, dtype=np.uint8), np.empty(shape, dtype=np.uint8)
    tilts = factors[:, 5] if config.orientation else np.zeros(len(factors), dtype=np.int64)
    for kind, tilt in product(range(4), range(2)):
        rows = np.flatnonzero((factors[:, 0] == kind) & (tilts == tilt))
        for some in (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)):
            images[some], paired[some] = _one_kind(config, kind, bool(tilt), factors[some, 1], nuisance[some])
    return images, paired


def _one_kind(
    config: Config, kind: int, tilted: bool, colour: np.ndarray, nuisance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Images and paired images, uint8 (n,3,H,W), of scenes with the same kind of shape."""
    import numpy as np

    from harness.data.drawing import cover

    x, y, radius = nuisance[:, :3].T * config.size
    inside = cover(config.shapes[kind], x, y, radius, config.size, tilted=tilted)  # (n,H,W)
    paint = np.array(list(COLOURS.values()))[colour] * nuisance[:, 3:4]  # (n,3)
    ground = np.repeat(nuisance[:, 4:5], 3, axis=1)  # (n,3)
    if config.night:
        return _painted(inside, paint * NIGHT_LIGHT, ground * NIGHT_SKY), _painted(inside, paint, ground)
    width = max(0.8, config.size / 24)  # of the line, in pixels
    line = cover(config.shapes[kind], x, y, radius, config.size, tilted=tilted, stroke=width)
    return _painted(inside, paint, ground), _painted(line, paint, ground)


def _painted(covered: np.ndarray, paint: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """uint8 (n,3,H,W): `paint` where it is covered (n,H,W), else `ground`; both (n,3) in [0,1]."""
    import numpy as np

    difference = (paint - ground)[:, :, None, None] * 255
    values = covered[:, None] * difference + (ground * 255 + 0.5)[:, :, None, None]
    return values.astype(np.uint8)


def caption(factors: list[int], config: Config) -> str:
    """What one scene shows, in words: `a small red circle at the top left`. The orientation is not said."""
    words = [factor.values[value] for factor, value in zip(factors_of(config), factors, strict=True)]
    shape, colour, size, column, row = words[:5]
    place = "in the middle" if (column, row) == ("centre", "middle") else f"at the {row} {column}"
    return f"a {size} {colour} {shape} {place}"


def read_factors(config: Config, images: Tensor) -> Tensor:
    """The factors int64 (N,F) that images, uint8 (N,3,H,W), show; -1 throughout where they show no single shape."""
    import numpy as np
    import torch

    from harness.data.shape_reading import read_shapes

    hypotheses = list(product(config.shapes, (False, True) if config.orientation else (False,)))
    paint = np.array(list(COLOURS.values())) * (sum(SHADE) / 2) * (NIGHT_LIGHT if config.night else 1.0)
    found = read_shapes(images.cpu().numpy(), paint, hypotheses)
    middle_radius = (RADIUS[0][1] + RADIUS[1][0]) / 2 * config.size
    columns = [
        found.kind // 2 if config.orientation else found.kind,
        found.colour,
        (found.radius > middle_radius).astype(np.int64),
        _third(found.x / config.size),
        _third(found.y / config.size),
        *([found.kind % 2] if config.orientation else []),
    ]
    factors = np.where(found.kind[:, None] < 0, -1, np.stack(columns, axis=1))
    return torch.from_numpy(factors.astype(np.int64))


def read_masks(config: Config, rows: Rows) -> Tensor:
    """What covers more than half of each pixel, 0 for the background, else 1 + the shape: uint8 (n,H,W)."""
    import numpy as np
    import torch

    from harness.data.drawing import cover

    assert rows.factors is not None
    assert rows.targets is not None
    factors, (x, y, radius) = rows.factors.numpy(), rows.targets.double().numpy().T
    tilts = factors[:, 5] if config.orientation else np.zeros(len(factors), dtype=np.int64)
    masks = np.zeros((len(factors), config.size, config.size), dtype=np.uint8)
    for kind, tilt in product(range(4), range(2)):
        some = np.flatnonzero((factors[:, 0] == kind) & (tilts == tilt))
        inside = cover(config.shapes[kind], x[some], y[some], radius[some], config.size, tilted=bool(tilt))
        masks[some] = (1 + kind) * (inside > 0.5)
    return torch.from_numpy(masks)


def _third(place: np.ndarray) -> np.ndarray:
    """0, 1 or 2 for places in image sizes: halfway between the thirds' inner ends."""
    import numpy as np

    limits = [(THIRDS[0][1] + THIRDS[1][0]) / 2, (THIRDS[1][1] + THIRDS[2][0]) / 2]
    return np.searchsorted(limits, place)


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name="shapes",
        describe=describe,
        files=files,
        load=load,
        read_factors=read_factors,
        read_masks=read_masks,
        config=Config,
        source="own work",
    )
