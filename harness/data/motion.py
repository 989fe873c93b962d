"""Paths of things that move in a box and bounce off its walls, for clips that are drawn on the spot.

A path is told by where it is and what it does in the middle of the clip, between the two middle frames, so that what
happens before is drawn exactly like what happens after: without friction, a clip that runs backwards is as likely as
one that runs forwards. Nothing bounces in the middle step, so that two frames show its direction and its speed.

n paths, T frames; places (x,y) with x to the right and y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WAYS = ("right", "down-right", "down", "down-left", "left", "up-left", "up", "up-right")  # each 45 degrees on
WITHIN = 15.0  # degrees that a direction is off its way at most: half of what would make it another


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How n things move."""

    angles: np.ndarray  # (n,) in radians from the right, clockwise since y is down
    speeds: np.ndarray  # (n,) in units of length a frame, both in the middle step
    friction: float = 0.0  # fraction of the speed that is lost from one step to the next, in [0,1)
    turns: float = 0.0  # probability in [0,1] that the direction is drawn anew from one step to the next
    scatter: bool = False  # walls do not mirror: the direction after a bounce is drawn at random; without turns

    def velocities(self) -> np.ndarray:
        """In the middle step: (n,2), x and y, in units of length a frame."""
        return self.speeds[:, None] * np.stack([np.cos(self.angles), np.sin(self.angles)], 1)


def middle_places(motion: Motion, span: float, draws: np.ndarray) -> np.ndarray:
    """Places at the middle of the clip, in a box of [0,span] squared, from draws in [0,1): (n,2) -> (n,2)."""
    step = np.abs(motion.velocities())
    return step / 2 + (span - step) * draws


def paths(motion: Motion, middle: np.ndarray, span: float, frames: int, generator: np.random.Generator) -> np.ndarray:
    """Where each thing is in each frame, in a box of [0,span] squared: (n,T,2), from its place in the middle (n,2).

    The generator is asked for what is random alone. Walls mirror: a path is a straight line in a plane tiled with
    mirror images of the box, folded back into it. With `scatter` they do not.
    """
    n, centre = len(middle), (frames - 2) // 2  # the middle step is that after this frame
    if motion.scatter:
        return _scattered(motion, middle, span, (centre, frames - centre - 2), generator)
    angles = np.repeat(motion.angles[:, None], frames - 1, 1)
    if motion.turns:
        part = np.cumsum((generator.random((n, frames - 1)) < motion.turns).astype(np.int64), 1)
        others = generator.random((n, frames)) * 2 * np.pi
        angles = np.where(part == part[:, [centre]], angles, np.take_along_axis(others, part, 1))
    lengths = motion.speeds[:, None] * (1 - motion.friction) ** (np.arange(frames - 1) - centre)  # (n,T-1)
    steps = lengths[:, :, None] * np.stack([np.cos(angles), np.sin(angles)], 2)  # (n,T-1,2)
    walked = np.concatenate([np.zeros((n, 1, 2)), np.cumsum(steps, 1)], 1)
    unfolded = middle[:, None] + walked - (walked[:, [centre]] + walked[:, [centre + 1]]) / 2
    return span - np.abs(np.mod(unfolded, 2 * span) - span)


def _scattered(
    motion: Motion, middle: np.ndarray, span: float, steps: tuple[int, int], generator: np.random.Generator
) -> np.ndarray:
    """Paths that leave a wall in a direction of their own, with so many `steps` before the middle one and after it.

    From the middle step they are walked in both directions of time alike.
    """
    assert not motion.turns, "turns and scattering walls are one too many"
    half = motion.velocities() / 2
    before, after = (
        _walked(middle + sign * half, angles, motion.speeds[:, None] * loss ** np.arange(1, count + 1), span, generator)
        for sign, angles, loss, count in (
            (-1, motion.angles + np.pi, 1 / (1 - motion.friction), steps[0]),
            (1, motion.angles, 1 - motion.friction, steps[1]),
        )
    )
    return np.concatenate([before[:, ::-1], after], 1)


def _walked(
    place: np.ndarray, angles: np.ndarray, lengths: np.ndarray, span: float, generator: np.random.Generator
) -> np.ndarray:
    """Where things are that begin at `place` (n,2) and walk steps of these lengths (n,S): (n,S+1,2).

    What meets a wall goes on from there in a direction drawn from all that lead away from the wall, each as likely: as
    in Stochastic Moving MNIST (Denton and Fergus 2018, arXiv:1802.07687, section 4.1), whose speed is drawn anew too.
    """
    places, place, angles = [place], place.copy(), angles.copy()
    for left in lengths.T.copy():  # (n,) of the way still to go
        while (left > 0).any():
            step = np.stack([np.cos(angles), np.sin(angles)], 1)  # (n,2)
            with np.errstate(divide="ignore", invalid="ignore"):
                room = np.where(step > 0, span - place, place) / np.abs(step)  # up to the wall, along each axis
            room[np.isnan(room)] = np.inf
            axis = room.argmin(1)
            nearest = room.min(1)
            met = nearest < left
            place = np.clip(place + np.minimum(nearest, left)[:, None] * step, 0, span)
            left = np.where(met, left - nearest, 0)
            away = np.pi * (generator.random(len(place)) - 0.5)  # from the wall's normal
            ahead = np.take_along_axis(step, axis[:, None], 1)[:, 0] > 0  # the wall at the axis' end
            normal = np.where(axis == 0, 0, np.pi / 2) + np.where(ahead, np.pi, 0)
            angles = np.where(met, normal + away, angles)
        places.append(place)
    return np.stack(places, 1)


def drawn_ways(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A way, as an index of WAYS, and an angle within it, from draws in [0,1): (n,2) -> int64 (n,), radians (n,)."""
    way = (draws[:, 0] * len(WAYS)).astype(np.int64)
    return way, np.deg2rad(way * 360 / len(WAYS) + WITHIN * (2 * draws[:, 1] - 1))


def nearest_way(steps: np.ndarray) -> np.ndarray:
    """The way of steps (n,2): int64 (n,).

    >>> nearest_way(np.array([[1.0, 0.1], [0.0, -2.0]])).tolist()
    [0, 6]
    """
    turned = np.arctan2(steps[:, 1], steps[:, 0]) / (2 * np.pi) * len(WAYS)
    return np.round(turned).astype(np.int64) % len(WAYS)
