"""Two drawn shapes that move through a box; one passes before the other. Clips made on the spot, seeded, in colour.

In half of the clips their ways cross in the middle of the clip, so that the one behind is hidden for a while and comes
out again. Known of each clip: both shapes, the direction of the one in front in the middle step, and whether more than
half of the one behind is hidden in some frame. `label` says which of them are the classes. Places, speeds, sizes,
colours and the background vary freely.

N clips, T frames, H=W=size pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.plugin import DatasetSpec, DataSpec, Factor, VideoField, hookimpl

if TYPE_CHECKING:
    import numpy as np

    from harness.plugin import RawData

DRAWING = 1  # to be raised with every change of harness.data.motion and .drawing that changes pixels
SHAPES = ("circle", "square", "triangle", "cross")
WAYS = ("right", "down-right", "down", "down-left", "left", "up-left", "up", "up-right")  # as in harness.data.motion
COLOURS = ((0.9, 0.1, 0.1), (0.1, 0.65, 0.15), (0.1, 0.2, 0.9), (0.95, 0.9, 0.05), (0.9, 0.1, 0.9), (0.05, 0.8, 0.9))
RADIUS = (0.13, 0.17)  # in image sizes; see harness.data.drawing
REACH = 0.22  # how far a shape's middle stays from the walls, in image sizes
PACE = (0.02, 0.08)  # image sizes a frame
NEAR = 0.05  # distance of two ways that cross, at the middle of the clip, in image sizes and direction
GREY = (0.75, 0.95)  # of the background
TARGETS = ("x in pixels", "y in pixels", "velocity x in pixels a frame", "velocity y in pixels a frame")
FACTORS = (
    Factor(name="shape", values=SHAPES),
    Factor(name="behind", values=SHAPES),
    Factor(name="direction", values=WAYS),
    Factor(name="hidden", values=("seen", "hidden")),
)
CHUNK = 128  # clips drawn at a time


@dataclass(frozen=True, kw_only=True)
class Config:
    clips: int = 4_000  # for training and validation
    test: int = 500  # clips for testing
    frames: int = 12  # T
    size: int = 24  # height and width of a frame in pixels
    label: Literal["shape", "behind", "direction", "hidden"] = "shape"  # what the classes are
    friction: float = 0.0  # fraction of its speed that each loses a frame: gives time an arrow
    turns: float = 0.0  # probability of a new direction between two frames: makes the future uncertain
    seed: int = 0  # of the scenes

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 256 or not 2 <= self.frames <= 256:
            raise ValueError(f"size={self.size}, frames={self.frames}: expected 16 to 256 pixels and 2 to 256 frames")
        if self.clips < 100 or self.test < 20:
            raise ValueError(f"clips={self.clips}, test={self.test}: expected at least 100 and 20 clips")
        if not 0 <= self.friction < 1 or not 0 <= self.turns <= 1:
            raise ValueError("friction is a fraction in [0,1), turns a probability in [0,1]")


def describe(config: Config, root: Path) -> DataSpec[VideoField]:
    return DataSpec(
        inputs=VideoField(frames=config.frames, channels=3, size=config.size),
        classes=next(factor.values for factor in FACTORS if factor.name == config.label),
        factors=FACTORS,
        targets=TARGETS,
    )


def files(config: Config, root: Path) -> list[Path]:
    """This file: with the config it says everything about the clips."""
    return [Path(__file__)]


def load(config: Config, root: Path) -> RawData:
    from dataclasses import replace

    return replace(_part(config, "training", config.clips), test=_part(config, "test", config.test))


def _part(config: Config, part: str, n: int) -> RawData:
    import numpy as np
    import torch

    from harness.plugin import RawData
    from harness.seeding import derived_seed

    generator = np.random.Generator(np.random.PCG64(derived_seed(config.seed, "moving-shapes", part)))
    ways, middle, velocity, places = _motions(config, n, generator)
    draws = generator.random((n, 8))
    shapes = (draws[:, :2] * len(SHAPES)).astype(np.int64)  # in front, behind
    front = (draws[:, 2] * len(COLOURS)).astype(np.int64)
    behind = (front + 1 + (draws[:, 3] * (len(COLOURS) - 1)).astype(np.int64)) % len(COLOURS)
    colours = np.array(COLOURS)[np.stack([front, behind], 1)]  # (n,2,3)
    radius = (RADIUS[0] + (RADIUS[1] - RADIUS[0]) * draws[:, 4:6]) * config.size  # (n,2)
    grey = GREY[0] + (GREY[1] - GREY[0]) * draws[:, 6]
    clips, hidden = _drawn(config, shapes, places, radius, colours, grey)
    factors = torch.from_numpy(np.stack([shapes[:, 0], shapes[:, 1], ways, hidden], 1).astype(np.int64))
    column = next(index for index, factor in enumerate(FACTORS) if factor.name == config.label)
    return RawData(
        inputs=torch.from_numpy(clips),
        labels=factors[:, column].clone(),
        factors=factors,
        targets=torch.from_numpy(np.concatenate([middle, velocity], 1).astype(np.float32)),
    )


def _motions(config: Config, n: int, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Of the one in front its way (n,), place and velocity in the middle (n,2); of both their places (n,T,2,2)."""
    import numpy as np

    from harness.data.motion import Motion, drawn_ways, middle_places, paths

    span, edge = (1 - 2 * REACH) * config.size, REACH * config.size
    crosses = generator.random(n) < 0.5
    found: list[np.ndarray] = []
    middles: list[np.ndarray] = []
    motions: list[Motion] = []
    ways: list[np.ndarray] = []
    for place in range(2):
        draws = generator.random((n, 5))
        way, angles = drawn_ways(draws[:, :2])
        speeds = (PACE[0] + (PACE[1] - PACE[0]) * draws[:, 2]) * config.size
        motion = Motion(angles=angles, speeds=speeds, friction=config.friction, turns=config.turns)
        middle = middle_places(motion, span, draws[:, 3:])
        if place:
            near = middles[0] + NEAR * config.size * (2 * draws[:, 3:] - 1)
            step = np.abs(motion.velocities()) / 2
            middle = np.where(crosses[:, None], np.clip(near, step, span - step), middle)
        ways.append(way)
        middles.append(middle)
        motions.append(motion)
        found.append(paths(motion, middle, span, config.frames, generator) + edge)
    return ways[0], middles[0] + edge, motions[0].velocities(), np.stack(found, 2)


def _drawn(
    config: Config, shapes: np.ndarray, places: np.ndarray, radius: np.ndarray, colours: np.ndarray, grey: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Clips uint8 (n,T,3,H,W), and whether more than half of the one behind is hidden in some frame (n,)."""
    import numpy as np

    n, frames = places.shape[:2]
    clips, hidden = np.empty((n, frames, 3, config.size, config.size), dtype=np.uint8), np.zeros(n, dtype=bool)
    for start in range(0, n, CHUNK):
        some = slice(start, start + CHUNK)
        front, behind = (
            _covered(config, shapes[some, each], places[some, :, each], radius[some, each]) for each in (0, 1)
        )
        hidden[some] = ((front * behind).sum((2, 3)) / behind.sum((2, 3))).max(1) > 0.5
        values = np.broadcast_to(grey[some, None, None, None, None], (*front.shape[:2], 3, *front.shape[2:]))
        for covered, each in ((behind, 1), (front, 0)):
            paint = colours[some, each][:, None, :, None, None]
            values = values + covered[:, :, None] * (paint - values)
        clips[some] = (values * 255 + 0.5).astype(np.uint8)
    return clips, hidden


def _covered(config: Config, shapes: np.ndarray, places: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """What part of each pixel a shape covers: kinds (n,), places (n,T,2), radii (n,) -> (n,T,H,W) in [0,1]."""
    import numpy as np

    from harness.data.drawing import cover

    frames = places.shape[1]
    covered = np.empty((*places.shape[:2], config.size, config.size))
    for kind, name in enumerate(SHAPES):
        rows = np.flatnonzero(shapes == kind)
        x, y = places[rows].reshape(-1, 2).T
        drawn = cover(name, x, y, np.repeat(radius[rows], frames), config.size)
        covered[rows] = drawn.reshape(len(rows), frames, config.size, config.size)
    return covered


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name="moving-shapes", kind="video", describe=describe, files=files, load=load, config=Config, source="own work"
    )
