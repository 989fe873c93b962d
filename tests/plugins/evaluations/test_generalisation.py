"""Generalisation: the gap of a method that knows its training images by heart, and of one that does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from example_subject import digits_dataset, example_subject
from torch import Tensor, nn

from harness.errors import TrainingFailed
from harness_plugins.evaluations.generalisation import Config, run


class Rote(nn.Module):
    """Answers with the label of the very same training image, and with class 0 where it has not seen it."""

    def __init__(self, images: Tensor, labels: Tensor, classes: int = 10) -> None:
        super().__init__()
        self.known = {image.numpy().tobytes(): int(label) for image, label in zip(images, labels, strict=True)}
        self.classes = classes

    def predict(self, images: Tensor) -> Tensor:
        keys = [image.numpy().tobytes() for image in (images * 255).round().to(torch.uint8)]
        answers = torch.tensor([self.known.get(key, 0) for key in keys])
        return 9.0 * nn.functional.one_hot(answers, self.classes).float()


class Stubborn(nn.Module):
    def predict(self, images: Tensor) -> Tensor:
        return torch.tensor([0.0, 1.0]).repeat(len(images), 5)


def test_rote_learning_has_the_largest_gap(tmp_path: Path) -> None:
    data = digits_dataset()
    assert data.train.labels is not None
    assert data.test.labels is not None
    scores = run(example_subject(Rote(data.train.values, data.train.labels), data, tmp_path), Config())
    zeros = float((data.test.labels == 0).double().mean())
    assert scores["train_accuracy"].value == 1.0
    assert scores["test_accuracy"].value == pytest.approx(zeros)
    assert scores["accuracy_gap"] == pytest.approx(1 - zeros)
    right, wrong = torch.tensor([[9.0] + [0.0] * 9]).log_softmax(1)[0, :2].tolist()
    assert scores["nll_gap"] == pytest.approx(-(zeros * right + (1 - zeros) * wrong) + right, rel=1e-5)


def test_who_learned_nothing_has_no_gap(tmp_path: Path) -> None:
    data = digits_dataset()
    scores = run(example_subject(Stubborn(), data, tmp_path), Config(train_limit=500))
    assert scores["train_accuracy"].n == 500
    assert abs(scores["accuracy_gap"]) < 0.01  # the class shares of both splits


def test_too_few_classes_are_a_failure(tmp_path: Path) -> None:
    data = digits_dataset()
    with pytest.raises(TrainingFailed, match=r"predict\(\) knows 5 classes, but digits has more"):
        run(example_subject(Rote(data.train.values[:1], torch.tensor([1]), classes=5), data, tmp_path), Config())
