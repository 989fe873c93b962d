"""What `--tune` chooses by: the second half of validation, whatever test holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from example_subject import digits_dataset, example_subject
from torch import Tensor, nn

from harness.errors import NotApplicable
from harness.judging.probing import ProbeConfig, fitted_probe
from harness.judging.subject import Subject
from harness_plugins.evaluations.selection import Config, halves, harness_evaluation, run


class Flat(nn.Module):
    """Pixels as features; what it rebuilds is darker."""

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def reconstruct(self, images: Tensor) -> Tensor:
        return 0.5 * images

    def log_likelihood_bound(self, images: Tensor, samples: int) -> Tensor:
        return -images.flatten(1).sum(1)


class Rebuilding(Flat):
    encode = None  # type: ignore[assignment]


def judged(folder: Path, method: nn.Module | None = None) -> Subject:
    return example_subject(method or Flat(), digits_dataset(), folder)


def test_the_probe_is_fitted_to_train_chosen_on_one_half_and_scored_on_the_other(tmp_path: Path) -> None:
    subject = judged(tmp_path)
    score = run(subject, Config())["accuracy"]
    first, second = halves(subject)
    assert not set(first.tolist()) & set(second.tolist())
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(len(subject.target.validation)))
    x, y = subject.features("validation"), subject.labels("validation")
    train = subject.features("train"), subject.labels("train")
    probe = fitted_probe(train, (x[first], y[first]), 10, ProbeConfig())
    expected = (probe.probabilities(x[second]).argmax(1) == y[second]).float().mean()
    assert score.value == pytest.approx(float(expected))
    assert score.n == len(second)
    assert 0.8 < score.value < 1


def test_test_is_never_looked_at(tmp_path: Path) -> None:
    """With other test images and labels, with none at all, the same number."""
    subject = judged(tmp_path)
    known = run(subject, Config())["accuracy"].value
    empty = subject.target.test.rows(torch.arange(0))
    subject.target = replace(subject.target, test=empty)
    assert run(subject, Config())["accuracy"].value == known
    other = judged(tmp_path)
    held = other.target.validation
    wrong = replace(held, labels=(held.labels + 1) % 10)
    other.target = replace(other.target, validation=wrong)
    assert run(other, Config())["accuracy"].value < known - 0.3


def test_reconstruction_and_likelihood_are_those_of_the_second_half(tmp_path: Path) -> None:
    subject = judged(tmp_path)
    _, second = halves(subject)
    images = subject.inputs("validation").take(second).float() / 255
    mse = run(subject, Config(by="reconstruction"))["mse"].value
    assert mse == pytest.approx(float((0.25 * images.square()).flatten(1).mean()), rel=1e-4)
    elbo = run(subject, Config(by="likelihood"))["elbo"].value
    assert elbo == pytest.approx(float(-images.flatten(1).sum(1).mean()), rel=1e-4)


def test_auto_takes_what_the_method_and_the_data_allow(tmp_path: Path) -> None:
    assert list(run(judged(tmp_path), Config())) == ["accuracy"]
    unlabelled = judged(tmp_path)
    rows = {name: replace(getattr(unlabelled.target, name), labels=None) for name in ("train", "validation", "test")}
    unlabelled.target = replace(unlabelled.target, **rows)
    assert list(run(unlabelled, Config())) == ["mse"]
    with pytest.raises(NotApplicable, match="cannot sample: choose by something else than fid"):
        run(judged(tmp_path), Config(by="fid"))
    with pytest.raises(NotApplicable, match="nothing tells on validation"):
        run(judged(tmp_path, nn.Identity()), Config())
    assert harness_evaluation().on_request
