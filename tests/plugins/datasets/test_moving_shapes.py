"""Moving shapes: the one in front covers the one behind, and what is known is what is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from harness.data.motion import WAYS
from harness.errors import RequestError
from harness.registry.config import resolve
from harness_plugins.datasets import moving_shapes

SPEC = moving_shapes.harness_dataset()
CONFIG = moving_shapes.Config(clips=600, test=100)


@pytest.fixture(scope="module")
def raw():
    return SPEC.load(CONFIG, Path())


def test_factors_are_spread(raw) -> None:
    assert moving_shapes.WAYS == WAYS
    for column, factor in enumerate(moving_shapes.FACTORS):
        counts = raw.factors[:, column].bincount(minlength=len(factor.values))
        assert counts.min() > 0.4 * len(raw.inputs) / len(factor.values), factor.name


def test_the_one_in_front_covers_the_one_behind() -> None:
    """Two squares at one place: all that is seen has the colour of the one in front, and the other is hidden."""
    config = moving_shapes.Config(frames=2)
    places = np.array([[[[8.0, 8.0], [8.0, 8.0]], [[8.0, 8.0], [16.0, 16.0]]]])  # (1,T,2,2)
    colours = np.array([[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    squares, radius = np.array([[1, 1]]), np.array([[3.0, 3.0]])
    drawn = {"shapes": squares, "radius": radius, "colours": colours, "grey": np.array([0.0])}
    clips, hidden = moving_shapes._drawn(config, places=places, **drawn)
    assert hidden.tolist() == [True]
    assert clips[0, 0, 2, 6:10, 6:10].max() == 0  # nothing blue while it is behind, but for half-covered edges
    assert clips[0, 1, 2].max() == 255
    assert clips[0, :, 0].max() == 255
    apart = np.array([[[[8.0, 8.0], [16.0, 16.0]]] * 2])
    assert moving_shapes._drawn(config, places=apart, **drawn)[1].tolist() == [False]


def test_targets_are_the_middle_of_the_one_in_front(raw) -> None:
    """Where the other is far away, the place where it is painted is where it is said to be."""
    circles = raw.factors[:, 0] == 0
    size, middle = CONFIG.size, raw.inputs[circles, 5:7].float().mean(1)  # (n,3,H,W), between two frames
    for image, (x, y) in zip(middle[:20], raw.targets[circles, :2].tolist()[:20], strict=True):
        assert 0 < x < size
        assert 0 < y < size
        at = image[:, int(y), int(x)]
        assert (at.max() - at.min()) > 60  # painted: the background is grey


def test_the_label_is_a_factor_and_seeds_are_reproducible(raw) -> None:
    for column, factor in enumerate(moving_shapes.FACTORS):
        config = resolve(moving_shapes.Config, {"label": factor.name, "clips": 600, "test": 100}, "moving-shapes")
        again = SPEC.load(config, Path())
        assert torch.equal(again.labels, raw.factors[:, column])
        assert torch.equal(again.inputs, raw.inputs)
    other = SPEC.load(moving_shapes.Config(clips=600, test=100, seed=1), Path())
    assert not torch.equal(other.inputs, raw.inputs)


@pytest.mark.parametrize(
    ("params", "message"),
    [({"size": 8}, "expected 16 to 256"), ({"test": 3}, "at least 100 and 20"), ({"turns": 2.0}, "turns a probab")],
)
def test_odd_parameters_are_errors(params: dict, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        resolve(moving_shapes.Config, params, "moving-shapes")
