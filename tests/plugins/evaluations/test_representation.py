"""The label-free scores against direct formulas and their limits."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from example_subject import digits_dataset, example_subject
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness
from torch import Tensor, nn

from harness.data.columns import InMemory
from harness.data.rows import Rows
from harness.metrics.features import normalised
from harness.metrics.geometry import effective_dimension, rankme, spread
from harness.records import ScoreValue
from harness_plugins.evaluations.representation import (
    SCORES,
    Config,
    alignment,
    changed,
    map_of,
    run,
    uniformity,
)


class Flat(nn.Module):
    """Pixels as features."""

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class NearlyConstant(nn.Module):
    """Features that differ by a thousandth of their size: a collapse that still varies."""

    def encode(self, images: Tensor) -> Tensor:
        return 1 + 1e-3 * images.flatten(1)


class Brightness(nn.Module):
    """One feature."""

    def encode(self, images: Tensor) -> Tensor:
        return images.mean((1, 2, 3))[:, None]


def values(scores: dict[str, ScoreValue | float]) -> dict[str, float]:
    return {name: score.value if isinstance(score, ScoreValue) else score for name, score in scores.items()}


@pytest.mark.parametrize("shape", [(80, 12), (12, 80)])
def test_rankme_and_effective_dimension_against_the_singular_values(shape: tuple[int, int]) -> None:
    features = torch.randn(*shape, generator=torch.Generator().manual_seed(0)) + 0.5
    singular = np.linalg.svd(features.double().numpy(), compute_uv=False)
    shares = singular / singular.sum() + 1e-7
    assert rankme(features) == pytest.approx(math.exp(-(shares * np.log(shares)).sum()), rel=1e-5)
    eigenvalues = np.linalg.eigvalsh(np.cov(features.double().numpy().T))
    assert effective_dimension(features) == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())


def test_limits_of_rank() -> None:
    equal = torch.eye(6).repeat(4, 1)
    assert rankme(equal) == pytest.approx(6, rel=1e-4)
    line = torch.arange(1.0, 9.0)[:, None] * torch.ones(1, 5)
    assert rankme(line) == pytest.approx(1, abs=1e-4)
    assert effective_dimension(line) == pytest.approx(1)
    assert effective_dimension(torch.ones(4, 3)) == 0.0
    assert rankme(torch.zeros(4, 3)) == pytest.approx(1, abs=1e-4)


def test_alignment_and_uniformity_against_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (normalised(torch.randn(30, 4, generator=generator)).double() for _ in range(2))
    pairs = [(i, j) for i in range(30) for j in range(i)]
    kernel = [math.exp(-2 * float(((first[i] - first[j]) ** 2).sum())) for i, j in pairs]
    assert uniformity(first) == pytest.approx(math.log(sum(kernel) / len(kernel)))
    assert alignment(first, second) == pytest.approx(float((2 - 2 * (first * second).sum(1)).mean()))
    assert alignment(first, first) == 0.0
    assert alignment(first, -first) == pytest.approx(4.0)
    assert uniformity(torch.ones(5, 1)) == 0.0
    assert uniformity(torch.tensor([[1.0], [-1.0]])) == pytest.approx(-8.0)


def test_spread_of_even_and_of_equal_features() -> None:
    even = normalised(torch.randn(4000, 32, generator=torch.Generator().manual_seed(0)))
    assert spread(even) == pytest.approx(1.0, abs=0.01)
    assert spread(torch.ones(10, 4) / 2) == 0.0


def test_changed_images_are_shifted_and_noisy_and_repeat() -> None:
    images = torch.zeros(64, 1, 16, 16, dtype=torch.uint8)
    images[:, :, 8, 8] = 255
    state = torch.get_rng_state()
    views = changed(images, torch.Generator().manual_seed(3))
    assert torch.equal(views, changed(images, torch.Generator().manual_seed(3)))
    assert torch.equal(state, torch.get_rng_state())
    places = views.flatten(1).argmax(1)
    rows, columns = places // 16, places % 16
    assert set(rows.tolist()) == set(columns.tolist()) == {6, 7, 8, 9, 10}
    dim = views[views < 128].float() / 255
    assert dim.square().mean().sqrt() == pytest.approx(0.02 / 2**0.5, rel=0.05)  # half of the noise is cut at black


def test_scores_and_the_map_of_digits(tmp_path: Path) -> None:
    subject = example_subject(Flat(), digits_dataset(), tmp_path)
    scores = run(subject, Config(map_points=60))
    assert set(scores) == {score.name for score in SCORES}
    got = values(scores)
    assert got["dimension"] == 64
    assert got["rankme"] == pytest.approx(rankme(subject.features("test")))
    assert 1 < got["effective_dimension"] < got["rankme"] < 64
    assert got["collapsed"] == 0.0
    assert 0 < got["alignment"] < 2
    (picture,) = subject.pictures
    shown = json.loads(Path(picture.file).read_text())
    assert len(shown["x"]) == len(shown["y"]) == len(shown["label"]) == 60
    assert "t-SNE" in picture.caption
    assert "60 test images" in picture.caption
    assert run(example_subject(Flat(), digits_dataset(), tmp_path), Config(map_points=60)) == scores


def digits_on_the_sphere(n: int) -> Tensor:
    return normalised(torch.from_numpy(load_digits().data[:n]).float())


def test_neighbours_on_the_map_of_digits_are_neighbours() -> None:
    points = digits_on_the_sphere(300)
    shown = map_of(points)
    assert shown.shape == (300, 2)
    assert trustworthiness(points.numpy(), shown.numpy(), n_neighbors=10) > 0.95
    axes = torch.linalg.svd(points - points.mean(0), full_matrices=False).Vh[:2]
    flat = trustworthiness(points.numpy(), (points @ axes.T).numpy(), n_neighbors=10)
    assert flat < 0.9  # what the first two principal components alone give


def test_two_maps_of_the_same_points_are_equal_whatever_was_drawn_before() -> None:
    points = digits_on_the_sphere(60)
    first = map_of(points)
    torch.manual_seed(5)
    np.random.seed(5)
    assert torch.equal(map_of(points), first)


@pytest.mark.parametrize("n", [4, 5, 30])
def test_equal_points_have_one_place_on_the_map(n: int) -> None:
    assert torch.equal(map_of(torch.ones(n, 3)), torch.zeros(n, 2))


@pytest.mark.parametrize(
    "points",
    [
        torch.rand(4, 3, generator=torch.Generator().manual_seed(0)),  # as few as there may be
        torch.arange(12.0)[:, None],  # one feature
        torch.eye(3).repeat(5, 1),  # three places, five times each
        torch.cat([torch.zeros(11, 2), torch.ones(1, 2)]),  # all equal but for one
    ],
    ids=["four", "a line", "three places", "all but one"],
)
def test_degenerate_points_have_a_finite_map(points: Tensor) -> None:
    shown = map_of(points)
    assert shown.shape == (len(points), 2)
    assert torch.isfinite(shown).all()
    assert float(shown.std(0).max()) > 0


def test_a_collapse_is_flagged(tmp_path: Path) -> None:
    got = values(run(example_subject(NearlyConstant(), digits_dataset(), tmp_path), Config(map_points=0)))
    assert got["collapsed"] == 1.0
    assert got["spread"] < 0.01


def test_one_feature_is_no_collapse(tmp_path: Path) -> None:
    got = values(run(example_subject(Brightness(), digits_dataset(), tmp_path), Config(map_points=10)))
    assert got["dimension"] == 1
    assert got["collapsed"] == 0.0
    assert got["effective_dimension"] == pytest.approx(1.0)


def test_a_target_without_labels(tmp_path: Path) -> None:
    data = digits_dataset()
    bare = [Rows(inputs=InMemory(split.values)) for split in (data.train, data.validation, data.test)]
    subject = example_subject(Flat(), replace(data, train=bare[0], validation=bare[1], test=bare[2]), tmp_path)
    run(subject, Config(map_points=10))
    assert json.loads(Path(subject.pictures[0].file).read_text())["label"] == []


def test_two_test_images_and_bad_limits(tmp_path: Path) -> None:
    data = digits_dataset()
    pair = replace(data, test=Rows(inputs=InMemory(data.test.values[:2]), labels=data.test.labels[:2]))
    subject = example_subject(Flat(), pair, tmp_path)
    assert all(math.isfinite(value) for value in values(run(subject, Config())).values())
    assert subject.pictures == []
    with pytest.raises(ValueError, match="at least 2"):
        Config(pair_limit=1)
