"""Precision, recall, density and coverage against the papers' definitions and expectations; the evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from example_subject import LinearCode, digits_dataset, example_subject

from harness.data.rows import Dataset
from harness.errors import NotApplicable, TrainingFailed
from harness_plugins.evaluations import coverage
from harness_plugins.evaluations.coverage import manifold_scores


def gaussian(n: int, features: int, *, seed: int, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, features, generator=generator, dtype=torch.float64) * scale + shift


def by_definition(samples: np.ndarray, real: np.ndarray, k: int) -> dict[str, float]:
    """Image by image: Kynkäänniemi et al. 2019, equations 1 and 2; Naeem et al. 2020, equations 3 and 4."""

    def radius(points: np.ndarray, own: int) -> float:
        return sorted(np.linalg.norm(points[own] - other) for i, other in enumerate(points) if i != own)[k - 1]

    def inside(point: np.ndarray, centre: np.ndarray, reach: float) -> bool:
        return bool(np.linalg.norm(point - centre) <= reach)

    real_reach = [radius(real, i) for i in range(len(real))]
    sample_reach = [radius(samples, j) for j in range(len(samples))]
    hit = np.array([[inside(y, x, reach) for x, reach in zip(real, real_reach, strict=True)] for y in samples])
    back = np.array([[inside(x, y, reach) for y, reach in zip(samples, sample_reach, strict=True)] for x in real])
    return {
        "precision": float(np.mean([row.any() for row in hit])),
        "recall": float(np.mean([row.any() for row in back])),
        "density": hit.sum() / (k * len(samples)),
        "coverage": float(np.mean([column.any() for column in hit.T])),
    }


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits_dataset()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all tests, so that the extractor of the digits is trained once."""
    return tmp_path_factory.getbasetemp() / "digits"


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.4, 0.0), (2.0, 0.0), (1.0, 1.5)])
def test_scores_are_the_papers_definitions(k: int, scale: float, shift: float) -> None:
    samples, real = gaussian(60, 4, seed=1, scale=scale, shift=shift), gaussian(50, 4, seed=2)
    samples[:5] = real[:5]  # copies lie on no border but at the centre of a ball
    assert manifold_scores(samples, real, k) == pytest.approx(by_definition(samples.numpy(), real.numpy(), k), rel=1e-5)


def test_each_score_sees_its_own_fault() -> None:
    real = torch.cat([gaussian(200, 2, seed=3), gaussian(200, 2, seed=4, shift=30.0)])  # two modes
    one_mode = manifold_scores(gaussian(400, 2, seed=5), real, 5)
    assert one_mode["precision"] > 0.9
    assert one_mode["recall"] < 0.6
    assert one_mode["coverage"] < 0.55
    half_wrong = torch.cat([gaussian(100, 2, seed=6), gaussian(100, 2, seed=7, shift=30.0), real[:200] + 1000])
    found = manifold_scores(half_wrong, real, 5)
    assert found["precision"] == pytest.approx(0.5, abs=0.05)
    assert found["coverage"] > 0.7
    wide = gaussian(400, 8, seed=8)
    crowded = manifold_scores(gaussian(400, 8, seed=9, scale=0.05), wide, 5)
    assert crowded["density"] > 3  # may exceed 1: in 8 dimensions many balls reach the centre
    assert crowded["recall"] < 0.1
    far = manifold_scores(real + 1e6, real, 5)
    assert far == {"coverage": 0.0, "density": 0.0, "precision": 0.0, "recall": 0.0}


def test_perfect_samples_get_what_theory_gives() -> None:
    """Naeem et al. 2020, section 3.2: E[density] = 1, E[coverage] = 1 - (N-1)...(N-k) / ((M+N-1)...(M+N-k))."""
    n, k = 300, 5
    factors = np.arange(1, k + 1)
    known = 1 - np.prod((n - factors) / (2 * n - factors))
    found = [manifold_scores(gaussian(n, 8, seed=s), gaussian(n, 8, seed=50 + s), k) for s in range(10)]
    assert np.mean([each["coverage"] for each in found]) == pytest.approx(known, abs=0.01)
    assert np.mean([each["density"] for each in found]) == pytest.approx(1, abs=0.03)


def test_equal_images_are_near_each_other() -> None:
    """With open balls constant features would score 0 against themselves."""
    constant = torch.full((20, 8), 3.7, dtype=torch.float64)
    found = manifold_scores(constant, constant, 5)
    assert found == {"coverage": 1.0, "density": 4.0, "precision": 1.0, "recall": 1.0}
    real = gaussian(50, 8, seed=9) + 100  # far from the origin: rounding is no matter
    same = manifold_scores(real, real.flip(0), 3)
    assert {same[name] for name in ("coverage", "precision", "recall")} == {1.0}
    assert same["density"] == pytest.approx(by_definition(real.numpy(), real.numpy(), 3)["density"])


def test_evaluation_ranks_generators_beside_real_images(data: Dataset, folder: Path) -> None:
    good = coverage.run(example_subject(LinearCode(data.train.values, 30), data, folder), coverage.Config())
    poor = coverage.run(example_subject(LinearCode(data.train.values, 2), data, folder), coverage.Config())
    assert set(good) == {score.name for score in coverage.harness_evaluation().scores}
    for name in ("coverage", "recall"):
        assert poor[name].value < good[name].value < good[f"real_{name}"].value
    assert good["real_coverage"].value > 0.85
    assert good["real_coverage"] == poor["real_coverage"]
    assert {score.n for score in good.values()} == {len(data.test)}
    value, best = good["coverage"].value, good["real_coverage"].value
    assert good["coverage"].note.startswith("in-domain classifier ")
    assert good["coverage"].note.endswith(f"; k=5; real training images {best:.3g}, {value / best:.3g} of that")
    again = coverage.run(example_subject(LinearCode(data.train.values, 30), data, folder), coverage.Config())
    assert again == good


def test_without_labels_the_space_is_that_of_an_encoder_of_the_images(data: Dataset, folder: Path) -> None:
    parts = {name: replace(data.split(name), labels=None) for name in ("train", "validation", "test")}  # type: ignore[arg-type]
    bare = replace(data, spec=replace(data.spec, classes=()), **parts)
    good = coverage.run(example_subject(LinearCode(data.train.values, 30), bare, folder), coverage.Config())
    poor = coverage.run(example_subject(LinearCode(data.train.values, 2), bare, folder), coverage.Config())
    assert poor["coverage"].value < good["coverage"].value < good["real_coverage"].value
    assert good["real_coverage"].value > 0.85
    assert good["coverage"].note.startswith("label-free encoder ")


def test_what_cannot_be_judged_says_why(data: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = LinearCode(data.train.values, 4)
    with pytest.raises(NotApplicable, match=f"{len(data.test)} images have no 400-th nearest .* set a smaller k"):
        coverage.run(example_subject(method, data, folder), coverage.Config(k=400))
    with pytest.raises(ValueError, match="n must exceed k"):
        coverage.Config(n=5)
    with pytest.raises(ValueError, match="k must be at least 1"):
        coverage.Config(k=0)
    monkeypatch.setattr(method, "sample", lambda n, generator: torch.full((n, 1, 8, 8), torch.inf))
    with pytest.raises(TrainingFailed, match="not finite"):
        coverage.run(example_subject(method, data, folder), coverage.Config())
