"""Paths against a ball that is moved step by step, and their symmetry in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

from harness.data.motion import WAYS, Motion, drawn_ways, middle_places, nearest_way, paths

SPAN = 12.0


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def motion_of(n: int, *, fastest: float = 3.0, friction: float = 0.0, turns: float = 0.0) -> tuple[Motion, np.ndarray]:
    draws = generator().random((n, 4))
    motion = Motion(angles=2 * np.pi * draws[:, 0], speeds=fastest * draws[:, 1], friction=friction, turns=turns)
    return motion, middle_places(motion, SPAN, draws[:, 2:])


def walked(place: np.ndarray, step: np.ndarray, steps: list[float]) -> list[np.ndarray]:
    """A ball in a box, step by step; a wall mirrors what goes beyond it."""
    places = [place]
    for length in steps:
        ahead = places[-1] + length * step
        for axis in range(2):
            while not 0 <= ahead[axis] <= SPAN:
                wall = 0.0 if ahead[axis] < 0 else SPAN
                ahead[axis] = 2 * wall - ahead[axis]
                step[axis] = -step[axis]
        places.append(ahead)
    return places


@pytest.mark.parametrize("friction", [0.0, 0.1])
def test_paths_are_those_of_a_ball_in_a_box(friction: float) -> None:
    motion, middle = motion_of(50, friction=friction)
    found = paths(motion, middle, SPAN, 12, generator())
    assert found.min() >= 0
    assert found.max() <= SPAN
    lengths = [(1 - friction) ** (step - 5) for step in range(6, 11)]
    for path, place, step in zip(found, middle, motion.velocities(), strict=True):
        np.testing.assert_allclose(path[6:], walked(place + step / 2, step.copy(), lengths), atol=1e-9)


def test_nothing_bounces_in_the_middle_step() -> None:
    motion, middle = motion_of(500)
    found = paths(motion, middle, SPAN, 12, generator())
    np.testing.assert_allclose(found[:, 6] - found[:, 5], motion.velocities(), atol=1e-9)


def test_without_friction_the_clip_of_the_opposite_motion_runs_backwards() -> None:
    motion, middle = motion_of(50)
    opposite = Motion(angles=motion.angles + np.pi, speeds=motion.speeds)
    forwards, backwards = (paths(each, middle, SPAN, 8, generator()) for each in (motion, opposite))
    np.testing.assert_allclose(forwards, backwards[:, ::-1], atol=1e-9)


def test_friction_slows_every_step_down() -> None:
    motion, _ = motion_of(20, fastest=0.1, friction=0.2)
    found = paths(motion, np.full((20, 2), SPAN / 2), SPAN, 6, generator())  # far from the walls
    lengths = np.linalg.norm(np.diff(found, axis=1), axis=2)
    np.testing.assert_allclose(lengths[:, 1:] / lengths[:, :-1], 0.8)


def test_turns_draw_other_directions_and_keep_the_middle_step() -> None:
    motion, middle = motion_of(300, fastest=0.1, turns=0.5)
    found = paths(motion, middle, SPAN, 12, generator())
    steps = np.diff(found, axis=1)
    np.testing.assert_allclose(steps[:, 5], motion.velocities(), atol=1e-9)
    kept = np.isclose(steps[:, 6], steps[:, 5]).all(1).mean()
    assert 0.4 < kept < 0.6
    kept = np.isclose(steps[:, 10], steps[:, 5]).all(1).mean()
    assert kept < 0.1  # 1 in 32, and those whose speed is about nothing
    always = Motion(angles=motion.angles, speeds=motion.speeds, turns=1.0)
    assert not np.isclose(np.diff(paths(always, middle, SPAN, 4, generator()), axis=1)[:, 0], steps[:, 5]).all(1).any()


@pytest.mark.parametrize(("frames", "friction"), [(12, 0.0), (7, 0.1)])
def test_scattering_walls_are_met_and_left_at_random(frames: int, friction: float) -> None:
    motion, middle = motion_of(2000, fastest=2.0, friction=friction)
    scattered = replace(motion, scatter=True)
    found = paths(scattered, middle, SPAN, frames, generator())
    assert found.shape == (2000, frames, 2)
    assert found.min() >= 0
    assert found.max() <= SPAN
    centre = (frames - 2) // 2
    steps = np.diff(found, axis=1)
    np.testing.assert_allclose(steps[:, centre], motion.velocities(), atol=1e-9)
    mirrored = np.diff(paths(motion, middle, SPAN, frames, generator()), axis=1)
    free = np.isclose(
        mirrored[:, centre:] / mirrored[:, [centre]], (1 - friction) ** np.arange(frames - 1 - centre)[:, None]
    )
    until = free.all(2).cumprod(1).astype(bool)  # up to the first wall both are the same
    assert 0.1 < until.mean() < 0.95
    np.testing.assert_allclose(steps[:, centre:][until], mirrored[:, centre:][until], atol=1e-9)
    lengths = motion.speeds[:, None] * (1 - friction) ** (np.arange(frames - 1) - centre)
    walked_straight = np.isclose(np.linalg.norm(steps, axis=2), lengths)
    assert (np.linalg.norm(steps, axis=2) <= lengths + 1e-9).all()  # a bounce within a step bends it
    assert walked_straight.mean() > 0.5


def test_a_scattering_wall_throws_back_into_all_directions_alike() -> None:
    """Straight onto a wall: uniform over the half circle that leads away from it, in both directions of time."""
    n = 20_000
    motion = Motion(angles=np.zeros(n), speeds=np.full(n, 4.0), scatter=True)
    found = paths(motion, np.full((n, 2), [SPAN - 2.0, SPAN / 2]), SPAN, 4, generator())
    np.testing.assert_allclose(found[:, 2], [[SPAN, SPAN / 2]] * n)
    thrown = found[:, 3] - found[:, 2]
    np.testing.assert_allclose(np.linalg.norm(thrown, axis=1), 4.0)
    angles = np.arctan2(thrown[:, 1], -thrown[:, 0])
    assert kstest(angles, "uniform", args=(-np.pi / 2, np.pi)).pvalue > 0.01
    np.testing.assert_allclose(found[:, 0], [[SPAN - 8, SPAN / 2]] * n)  # before it nothing was met
    back = paths(
        replace(motion, angles=np.full(n, np.pi)), np.full((n, 2), [SPAN - 2.0, SPAN / 2]), SPAN, 4, generator()
    )
    thrown = back[:, 0] - back[:, 1]
    np.testing.assert_allclose(np.linalg.norm(thrown, axis=1), 4.0)
    assert kstest(np.arctan2(thrown[:, 1], -thrown[:, 0]), "uniform", args=(-np.pi / 2, np.pi)).pvalue > 0.01


def test_a_corner_lets_go_of_what_it_has_caught() -> None:
    n = 500
    motion = Motion(angles=np.full(n, np.pi / 4), speeds=np.full(n, 2**0.5), scatter=True)
    found = paths(motion, np.full((n, 2), SPAN - 0.5), SPAN, 8, generator())
    assert np.isfinite(found).all()
    assert (found[:, 5] < SPAN - 1e-6).all()


def test_ways_are_told_from_steps() -> None:
    way, angles = drawn_ways(generator().random((1000, 2)))
    assert set(way.tolist()) == set(range(len(WAYS)))
    np.testing.assert_array_equal(nearest_way(np.stack([np.cos(angles), np.sin(angles)], 1)), way)
    assert [WAYS[way] for way in nearest_way(np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [1, -1]]))] == [
        "right",
        "down",
        "left",
        "up",
        "up-right",
    ]
