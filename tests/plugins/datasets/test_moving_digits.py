"""Moving digits: real handwriting, shared by no two splits, whose motion the pixels tell."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import map_coordinates
from sklearn.datasets import load_digits

from harness import loading
from harness.data.motion import WAYS
from harness.errors import DatasetMissing, RequestError
from harness.registry.config import resolve
from harness_plugins.datasets import moving_digits

SPEC = moving_digits.harness_dataset()
CONFIG = moving_digits.Config(clips=2000)


@pytest.fixture(scope="module")
def raw():
    return SPEC.load(CONFIG, Path())


def test_the_ways_are_those_of_the_motion() -> None:
    assert moving_digits.WAYS == WAYS


def test_a_frame_is_the_handwriting_moved(raw) -> None:
    """Against scipy's interpolation, in the middle between two frames that show a clip at a known place."""
    images = load_digits().images / 16
    for config in (CONFIG, moving_digits.Config(clips=100, digit=8)):
        places = np.array([[[2.0, 3.0], [2.25, 3.5]], [[0.0, 7.75], [5.5, 0.0]]])
        drawn = moving_digits._drawn(moving_digits.Config(clips=100, digit=config.digit, frames=2), images[:2], places)
        for clip, writing, path in zip(drawn, images[:2], places, strict=True):
            for frame, (x, y) in zip(clip[:, 0], path, strict=True):
                scale = 8 / config.digit
                rows, columns = np.mgrid[:24, :24] + 0.5
                where = [(rows - y) * scale - 0.5, (columns - x) * scale - 0.5]
                expected = map_coordinates(np.pad(writing, 2), [each + 2 for each in where], order=1)
                np.testing.assert_allclose(frame, expected * 255, atol=0.51)


def test_no_handwriting_is_in_two_splits(raw) -> None:
    """The one clip of each handwriting, found again by its ink at rest: the groups, and the test."""
    dataset = loading.load(SPEC, CONFIG, Path(), seed=0)
    assert (len(dataset.train) + len(dataset.validation), len(dataset.test)) == (2000, 359)
    groups = {tuple(row): group for row, group in zip(raw.targets.tolist(), raw.groups.tolist(), strict=True)}
    train, validation = (
        {groups[tuple(row)] for row in part.targets.tolist()} for part in (dataset.train, dataset.validation)
    )
    assert not train & validation
    assert len(train | validation) == 1438
    digits = load_digits().target
    assert torch.equal(torch.from_numpy(digits)[raw.groups], raw.factors[:, 0])
    left = np.delete(digits, raw.groups.unique().numpy())
    assert sorted(left) == sorted(raw.test.factors[:, 0].tolist())


def test_the_pixels_tell_direction_and_speed(raw) -> None:
    found = SPEC.read_factors(CONFIG, raw.inputs)
    right = (found == raw.factors).float().mean(0)
    assert right[1] > 0.99
    assert right[2] > 0.99
    assert (found[:, 0] == -1).all()
    assert (SPEC.read_factors(CONFIG, torch.zeros_like(raw.inputs[:2])) == -1).all()


def test_targets_are_where_it_is_and_how_it_moves(raw) -> None:
    ink = raw.inputs[:, 5:7, 0].double()
    middles = (ink.sum(2) * (torch.arange(24) + 0.5)).sum(2) / ink.sum((2, 3))  # (N,2): x
    assert (middles.diff(dim=1)[:, 0] - raw.targets[:, 2]).abs().max() < 0.2
    assert (middles.mean(1) - raw.targets[:, 0]).abs().max() < 3  # a digit is not centred in its box
    speeds = raw.targets[:, 2:].norm(dim=1)
    for speed, (low, high) in enumerate(moving_digits.PACES):
        of_speed = speeds[raw.factors[:, 2] == speed]
        assert low - 1e-6 <= float(of_speed.min()) <= float(of_speed.max()) <= high + 1e-6


def test_the_label_says_what_the_classes_are_and_the_clips_stay(raw) -> None:
    for column, label in enumerate(("digit", "direction", "speed")):
        config = resolve(moving_digits.Config, {"label": label, "clips": 2000}, "moving-digits")
        again = SPEC.load(config, Path())
        assert torch.equal(again.inputs, raw.inputs)
        assert torch.equal(again.labels, raw.factors[:, column])
        assert SPEC.describe(config, Path()).classes == moving_digits.FACTORS[column].values


def test_seeds_differ_and_are_reproducible(raw) -> None:
    again, other = SPEC.load(CONFIG, Path()), SPEC.load(moving_digits.Config(clips=2000, seed=1), Path())
    assert torch.equal(again.test.inputs, raw.test.inputs)
    assert not torch.equal(other.inputs, raw.inputs)


def test_random_bounces_change_what_comes_after_a_wall_and_nothing_else(raw) -> None:
    config = moving_digits.Config(clips=2000, bounces="random")
    scattered = SPEC.load(config, Path())
    assert torch.equal(scattered.factors, raw.factors)
    torch.testing.assert_close(scattered.targets, raw.targets)
    assert (scattered.inputs[:, 5:7] != raw.inputs[:, 5:7]).float().mean() < 1e-4  # the middle step, but for rounding
    same = (scattered.inputs == raw.inputs).flatten(2).all(2).float().mean(0)
    assert (same[:5].diff() >= 0).all()  # the farther from the middle, the more have met a wall
    assert (same[7:].diff() <= 0).all()
    assert same[0] < 0.4
    assert same[11] < 0.4
    found = SPEC.read_factors(config, scattered.inputs)
    assert (found == scattered.factors).float().mean(0)[1:].min() > 0.99


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"digit": 7}, "expected 8 <= digit <= size - 4"),
        ({"size": 15}, "digit=12, size=15"),
        ({"frames": 1}, "expected 2 to 256 frames"),
        ({"friction": 1.0}, "friction is a fraction"),
        ({"label": "colour"}, "label"),
        ({"bounces": "soft"}, "bounces"),
        ({"turns": 0.1, "bounces": "random"}, "ask for one of them"),
    ],
)
def test_odd_parameters_are_errors(params: dict, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        resolve(moving_digits.Config, params, "moving-digits")


def write_mnist(root: Path, shown: np.ndarray, tested: int) -> None:
    """http://yann.lecun.com/exdb/mnist: magic 2051 or 2049, sizes as big-endian int32, bytes; labels 0 to 9 in turn."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, images in (("train", shown[tested:]), ("t10k", shown[:tested])):
        n = len(images)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">iiii", 2051, n, 28, 28) + images.tobytes())
        labels = (np.arange(n) % 10).astype(np.uint8).tobytes()
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">ii", 2049, n) + labels)


def test_mnist_moves_where_it_is(tmp_path: Path) -> None:
    """Grounds that differ tell which handwriting is where; sums of ink against Pillow's resizing with antialiasing."""
    shown = np.zeros((150, 28, 28), dtype=np.uint8)
    shown[:, 6:22, 10:18] = np.arange(100, 250, dtype=np.uint8)[:, None, None]
    write_mnist(tmp_path, shown, 30)
    config = moving_digits.Config(clips=300, handwriting="mnist", label="digit")
    assert len(SPEC.files(config, tmp_path)) == 5
    raw = SPEC.load(config, tmp_path)
    assert raw.inputs.shape == (300, 12, 1, 24, 24)
    assert raw.test.inputs.shape == (30, 12, 1, 24, 24)
    assert raw.labels.tolist() == [row % 120 % 10 for row in range(300)]
    assert raw.groups.tolist() == [row % 120 for row in range(300)]
    for clips, first in ((raw.inputs[:120], 30), (raw.test.inputs, 0)):
        for row in (0, 7, len(clips) - 1):
            small = np.asarray(Image.fromarray(shown[first + row]).resize((12, 12), Image.Resampling.BILINEAR), float)
            np.testing.assert_allclose(clips[row, :, 0].double().sum((1, 2)), small.sum(), rtol=0.02)
    dataset = loading.load(SPEC, config, tmp_path, seed=0)
    assert (len(dataset.train) + len(dataset.validation), len(dataset.test)) == (300, 30)


def test_without_mnist_it_is_said_how_it_comes(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match="prepare"):
        loading.load(SPEC, moving_digits.Config(handwriting="mnist"), tmp_path, seed=0)
