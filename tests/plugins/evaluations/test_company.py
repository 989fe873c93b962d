"""A representation that depends on the other images of its batch is no representation: it fails, and soon."""

from __future__ import annotations

import copy
import time
from pathlib import Path

import pytest
import torch
from example_subject import digits_dataset, example_subject
from torch import Tensor, nn

from harness.data.rows import Dataset
from harness.errors import TrainingFailed
from harness.judging.subject import Subject
from harness.registry import Registry


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits_dataset()


class Encoder(nn.Module):
    """A convolutional backbone, in the mode that it is told to encode in."""

    def __init__(self, data: Dataset, *, training: bool) -> None:
        super().__init__()
        spec = Registry().load("convnet", ("backbone",)).spec
        torch.manual_seed(0)
        self.backbone = spec.build(data.spec, spec.config())
        self.in_training = training

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone.train(self.in_training)(images)


class Maps(Encoder):
    def encode(self, images: Tensor) -> Tensor:
        return self.backbone.maps(images)


def subject(method: nn.Module, data: Dataset, folder: Path, precision: str = "fp32") -> Subject:
    return example_subject(method, data, folder, precision=precision)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_sound_method_passes_in_either_precision(precision: str, data: Dataset, tmp_path: Path) -> None:
    features = subject(Encoder(data, training=False), data, tmp_path, precision).features("test")
    assert features.shape == (len(data.test), 128)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_batch_norm_in_train_mode_fails(precision: str, data: Dataset, tmp_path: Path) -> None:
    judged = subject(Encoder(data, training=True), data, tmp_path, precision)
    for _ in range(2):  # each evaluation asks again
        with pytest.raises(TrainingFailed, match=r"encode\(\) of an image changes by .* with the other images"):
            judged.features("test")


def test_maps_fail_in_the_words_of_the_check(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"encode\(\) returned \(8, 128, 2, 2\), expected \(8, D\): flatten"):
        subject(Maps(data, training=False), data, tmp_path).features("test")


def test_the_check_changes_no_number_and_is_cheap(data: Dataset, tmp_path: Path) -> None:
    judged = subject(Encoder(data, training=False), data, tmp_path)
    state = copy.deepcopy(judged.method.state_dict())
    generator = torch.get_rng_state()
    times = []
    for _ in range(5):
        started = time.perf_counter()
        judged._check_company("test")
        times.append(time.perf_counter() - started)
    assert min(times) < 0.1  # seconds; a few thousandths on a quiet machine
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(value, state[name]) for name, value in judged.method.state_dict().items())
