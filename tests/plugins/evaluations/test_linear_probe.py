"""The linear probe: its choice and its scores against scikit-learn, and the data that break a careless one."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from example_subject import digits_dataset, example_subject
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from harness.data.columns import InMemory
from harness.data.rows import Rows
from harness.errors import NotApplicable
from harness.judging.probing import fitted_probe
from harness_plugins.evaluations.linear_probe import SCORES, Config, harness_evaluation, run


class Flat(nn.Module):
    """Pixels as features."""

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def test_accuracy_on_digits_is_that_of_scikit_learn_chosen_the_same_way(tmp_path: Path) -> None:
    subject = example_subject(Flat(), digits_dataset(), tmp_path)
    scores = run(subject, Config(penalties=3))
    scaler = StandardScaler().fit(subject.features("train").double().numpy())
    x = {split: scaler.transform(subject.features(split).double().numpy()) for split in ("train", "validation", "test")}
    y = {split: subject.labels(split).numpy() for split in ("train", "validation", "test")}
    models = [LogisticRegression(C=c, max_iter=2000).fit(x["train"], y["train"]) for c in Config(penalties=3).grid]
    best = min(models, key=lambda model: log_loss(y["validation"], model.predict_proba(x["validation"])))
    assert abs(scores["accuracy"].value - best.score(x["test"], y["test"])) < 2.5 / len(y["test"])  # two images
    assert abs(scores["nll"].value - log_loss(y["test"], best.predict_proba(x["test"]))) < 0.01
    assert scores["accuracy"].note.startswith(f"C={best.C:.3g}")
    assert scores["accuracy"].chance == pytest.approx((y["test"][:, None] == range(10)).mean(0).max())
    assert scores["balanced_accuracy"].chance == pytest.approx(0.1)
    assert 0 < scores["calibration_error"] < 0.1
    assert 0 < scores["nll"].value < 0.5


def test_the_same_subject_twice_gives_the_same_bits(tmp_path: Path) -> None:
    first, second = (run(example_subject(Flat(), digits_dataset(), tmp_path), Config(penalties=2)) for _ in range(2))
    assert first == second


def test_noise_is_at_chance(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    features, labels = torch.randn(600, 4, generator=generator), torch.arange(600) % 3
    probe = fitted_probe((features[:300], labels[:300]), (features[300:400], labels[300:400]), 3, Config())
    right = float((probe.probabilities(features[400:]).argmax(1) == labels[400:]).double().mean())
    assert abs(right - 1 / 3) < 0.12


def test_a_class_that_training_does_not_show_gets_no_probability(tmp_path: Path) -> None:
    features, labels = torch.randn(90, 3, generator=torch.Generator().manual_seed(0)), torch.arange(90) % 3
    features[:, 0] += 4.0 * labels
    seen = labels != 1
    probe = fitted_probe((features[seen], labels[seen]), (features[:20], labels[:20]), 3, Config())
    shares = probe.probabilities(features)
    assert shares.shape == (90, 3)
    assert shares[:, 1].eq(0).all()
    torch.testing.assert_close(shares.sum(1), torch.ones(90))
    assert (shares.argmax(1) == labels)[seen].double().mean() > 0.9


@pytest.mark.parametrize("dim", [1, 300])
def test_one_feature_and_more_features_than_images(dim: int) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 2
    features = torch.randn(40, dim, generator=generator) + 6.0 * labels[:, None]
    probe = fitted_probe((features[:30], labels[:30]), (features[30:33], labels[30:33]), 2, Config())
    assert probe.converged
    assert torch.equal(probe.probabilities(features[33:]).argmax(1), labels[33:])


def test_flat_features_and_a_tiny_validation_split_do_no_harm(tmp_path: Path) -> None:
    data = digits_dataset()
    tiny = replace(
        data, validation=Rows(inputs=InMemory(data.validation.values[:2]), labels=data.validation.labels[:2])
    )
    scores = run(example_subject(Flat(), tiny, tmp_path), Config())
    assert scores["accuracy"].value > 0.85
    assert math.isfinite(scores["nll"].value)


def test_a_limit_is_noted(tmp_path: Path) -> None:
    scores = run(example_subject(Flat(), digits_dataset(), tmp_path), Config(train_limit=200, penalties=2))
    assert "fitted to 200 of 1294 training images" in scores["accuracy"].note


def test_what_it_does_not_apply_to(tmp_path: Path) -> None:
    data = digits_dataset()
    bare = replace(data, train=Rows(inputs=InMemory(data.train.values)))
    with pytest.raises(NotApplicable, match="digits has no labels"):
        run(example_subject(Flat(), bare, tmp_path), Config())
    one = replace(data, train=Rows(inputs=InMemory(data.train.values), labels=torch.zeros(1294, dtype=torch.int64)))
    with pytest.raises(NotApplicable, match="fewer than two classes"):
        run(example_subject(Flat(), one, tmp_path), Config())
    assert "labels" in harness_evaluation().needs


def test_grid_and_bad_configs() -> None:
    assert Config(penalties=8).grid == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100, 1000])
    assert Config(penalties=1).grid == pytest.approx([1e-4])
    with pytest.raises(ValueError, match="0 < strongest <= weakest"):
        Config(strongest=2.0, weakest=1.0)
    with pytest.raises(ValueError, match="must be positive"):
        Config(penalties=0)
    assert [score.name for score in SCORES if score.primary] == ["accuracy"]
