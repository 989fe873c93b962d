"""The regression probe: its ridge against scikit-learn's, what it can and cannot read, and the data it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from example_subject import digits_dataset, example_subject
from factor_images import squares
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from torch import Tensor, nn
from torchmetrics.functional.regression import r2_score as torchmetrics_r2

from harness.errors import NotApplicable
from harness_plugins.evaluations.regression_probe import Config, r_squared, ridge, ridge_predictions, run

QUICK = Config(steps=300)


class Flat(nn.Module):
    """Pixels as features."""

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class Noise(nn.Module):
    """Features that know nothing of the places: the brightness, and noise that its rounding makes."""

    def encode(self, images: Tensor) -> Tensor:
        light = images.amax((1, 2, 3))
        return torch.stack([(1000 * light * scale).sin() for scale in range(1, 5)], 1)


@pytest.mark.parametrize("shape", [(60, 8), (20, 35)])
def test_ridge_is_that_of_scikit_learn(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(*shape, generator=generator).double() + 3
    targets = torch.randn(shape[0], 2, generator=generator).double() - 5
    weights, bias = ridge(features, targets, [0.1, 10.0])
    for index, alpha in enumerate((0.1, 10.0)):
        model = Ridge(alpha=alpha).fit(features.numpy(), targets.numpy())
        np.testing.assert_allclose(weights[index].T, model.coef_, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(bias[index], model.intercept_, rtol=1e-5)


def test_each_target_gets_the_penalty_that_validation_likes_best() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(150, 20, generator=generator).double()
    clear, hazy = x @ torch.ones(20).double(), x[:, 0] + 8 * torch.randn(150, generator=generator)
    y = torch.stack([clear, hazy], 1)
    grid = [0.01, 1.0, 100.0, 10_000.0]
    parts = [(x[rows], y[rows]) for rows in (slice(0, 50), slice(50, 100), slice(100, 150))]
    predicted, chosen = ridge_predictions(parts[0], parts[1], parts[2][0], grid)
    for column in range(2):
        models = [Ridge(alpha=alpha).fit(parts[0][0].numpy(), parts[0][1][:, column].numpy()) for alpha in grid]
        best = max(models, key=lambda model: r2_score(parts[1][1][:, column], model.predict(parts[1][0].numpy())))
        assert chosen[column] == best.alpha
        np.testing.assert_allclose(predicted[:, column], best.predict(parts[2][0].numpy()), rtol=1e-5, atol=1e-8)
    assert chosen[0] < chosen[1]


def test_r_squared_is_that_of_scikit_learn() -> None:
    truth, predicted = torch.randn(2, 40, 3, generator=torch.Generator().manual_seed(0)).double().unbind()
    each = r2_score(truth.numpy(), predicted.numpy(), multioutput="raw_values")
    torch.testing.assert_close(r_squared(truth, predicted), torch.from_numpy(each))


def test_r_squared_is_that_of_torchmetrics_but_for_small_units() -> None:
    truth, predicted = torch.randn(2, 40, 3, generator=torch.Generator().manual_seed(0)).double().unbind()
    theirs = torchmetrics_r2(predicted, truth, multioutput="raw_values")
    torch.testing.assert_close(r_squared(truth, predicted), theirs, atol=1e-12, rtol=0)
    mean = truth.mean(0).expand(40, -1)
    assert r_squared(truth, mean).tolist() == pytest.approx([0.0] * 3)
    torch.testing.assert_close(r_squared(1e-4 * truth, 1e-4 * predicted), theirs)  # a unit changes nothing
    assert torchmetrics_r2(1e-4 * predicted, 1e-4 * truth, multioutput="raw_values").tolist() == [1.0] * 3


def test_places_are_read_from_pixels_in_the_units_of_the_test(tmp_path: Path) -> None:
    scores = run(example_subject(Flat(), squares(), tmp_path), QUICK)
    assert scores["r2_linear"].value > 0.9
    assert scores["r2_mlp"].value > 0.95
    assert scores["r2_linear"].chance == 0.0
    for score in scores.values():
        assert float(score.outcomes.mean()) == pytest.approx(score.value)
    assert scores["r2_linear"].note.startswith("x 0.9")
    assert ", y 0.9" in scores["r2_linear"].note


def test_features_without_the_places_are_at_chance(tmp_path: Path) -> None:
    scores = run(example_subject(Noise(), squares(), tmp_path), QUICK)
    assert scores["r2_linear"].value == pytest.approx(0, abs=0.06)
    assert scores["r2_mlp"].value == pytest.approx(0, abs=0.12)


def test_what_only_a_network_can_read(tmp_path: Path) -> None:
    """The target is how far a square is from the middle column: no line through the column says anything of it."""
    data = squares()
    splits = {
        name: replace(data.split(name), targets=(data.split(name).targets[:, :1] - 3).abs())
        for name in ("train", "validation", "test")
    }
    bent = replace(data, spec=replace(data.spec, targets=("distance in pixels",)), **splits)

    class Column(nn.Module):
        def encode(self, images: Tensor) -> Tensor:
            return images[:, 0].sum(1).argmax(1, keepdim=True).float()

    scores = run(example_subject(Column(), bent, tmp_path), QUICK)
    assert scores["r2_mlp"].value > 0.95
    assert scores["r2_linear"].value == pytest.approx(0, abs=0.1)
    assert scores["r2_mlp"].note.startswith("distance 0.9") or scores["r2_mlp"].note.startswith("distance 1.0")


def test_the_same_subject_twice_gives_the_same_bits(tmp_path: Path) -> None:
    first, second = (run(example_subject(Flat(), squares(), tmp_path), QUICK) for _ in range(2))
    assert [replace(score, outcomes=None) for score in first.values()] == [
        replace(score, outcomes=None) for score in second.values()
    ]
    assert torch.equal(first["r2_mlp"].outcomes, second["r2_mlp"].outcomes)


def test_a_target_that_does_not_vary_is_left_out(tmp_path: Path) -> None:
    data = squares()
    still = {
        name: replace(data.split(name), targets=data.split(name).targets * torch.tensor([1.0, 0.0]))
        for name in ("train", "validation", "test")
    }
    scores = run(example_subject(Flat(), replace(data, **still), tmp_path), QUICK)
    assert ", y " not in scores["r2_linear"].note
    all_still = {name: replace(split, targets=split.targets * 0) for name, split in still.items()}
    with pytest.raises(NotApplicable, match="do not vary"):
        run(example_subject(Flat(), replace(data, **all_still), tmp_path), QUICK)


def test_without_targets_it_does_not_apply(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="digits has no regression targets"):
        run(example_subject(Flat(), digits_dataset(), tmp_path), QUICK)


@pytest.mark.parametrize("wrong", [{"weakest": 0.0}, {"hidden": 0}, {"learning_rate": 0.0}])
def test_a_config_is_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be|are penalties"):
        Config(**wrong)


def test_a_target_may_be_alike_in_the_few_rows_that_choose(tmp_path: Path) -> None:
    data = squares()
    column = data.validation.targets[:, 0]
    alike = (column == column.mode().values).nonzero().flatten()[:2]
    scores = run(example_subject(Flat(), replace(data, validation=data.validation.rows(alike)), tmp_path), QUICK)
    assert scores["r2_linear"].note.startswith("x 0.")
