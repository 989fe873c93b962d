"""Throughput scores: present where they apply, FLOPs by the formula, a slower method seen as slower."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from example_subject import digits_dataset, example_subject
from torch import Tensor, nn

from harness.data.batches import Batch
from harness.data.rows import Dataset
from harness_plugins.evaluations import throughput

FAST = throughput.Config(seconds=0.02)
ENCODING = {"encode_images_per_second", "latency_p50", "latency_p95", "flops_per_image", "parameters"}
TRAINING = {"train_images_per_second", "peak_memory", "share_of_peak"}


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits_dataset()


class Network(nn.Module):
    """A convolution and a linear layer; `repeats` times the work to encode."""

    def __init__(self, repeats: int = 1) -> None:
        super().__init__()
        self.repeats = repeats
        self.convolution = nn.Conv2d(1, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.linear = nn.Linear(16 * 64, 32)

    def encode(self, images: Tensor) -> Tensor:
        for _ in range(self.repeats):
            features = self.linear(self.norm(self.convolution(images)).relu().flatten(1))
        return features


class Learner(Network):
    def loss(self, batch: Batch) -> Tensor:
        assert batch.labels is not None
        noise = torch.randn_like(batch.inputs)
        return F.cross_entropy(self.encode(batch.inputs + noise)[:, :10], batch.labels)


class Rivals(Network):
    """Two parts that learn in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.rival = nn.Linear(32, 1)
        self.order: list[str] = []

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        yield "rival", self.rival(self.encode(batch.inputs).detach()).square().mean()
        yield "linear", -self.rival(self.encode(batch.inputs)).mean()


def test_scores_of_a_method_that_is_not_trained(data: Dataset, tmp_path: Path) -> None:
    scores = throughput.run(example_subject(Network(), data, tmp_path), FAST)
    assert set(scores) == ENCODING
    assert all(score.value > 0 for score in scores.values())
    assert scores["latency_p50"].value <= scores["latency_p95"].value
    assert scores["parameters"].value == 16 * 9 + 16 + 2 * 16 + 16 * 64 * 32 + 32
    assert scores["flops_per_image"].value == 2 * (9 * 16 * 64) + 2 * (16 * 64 * 32)  # convolution, linear layer
    assert scores["latency_p50"].n is not None
    assert scores["latency_p50"].n >= 20


@pytest.mark.parametrize("build", [Learner, Rivals])
def test_training_is_measured_on_a_copy(build: type[Network], data: Dataset, tmp_path: Path) -> None:
    subject = example_subject(build(), data, tmp_path, uses=("labels",))
    before, state = copy.deepcopy(subject.method.state_dict()), torch.get_rng_state()
    scores = throughput.run(subject, FAST)
    assert set(scores) == ENCODING | TRAINING
    assert all(score.value > 0 for score in scores.values())
    assert 0 < scores["share_of_peak"].value < 1.5
    assert scores["train_images_per_second"].value < scores["encode_images_per_second"].value
    after = subject.method.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)  # batch statistics as well
    assert not any(weight.requires_grad for weight in subject.method.parameters())
    assert not subject.method.training
    assert torch.equal(torch.get_rng_state(), state)


def test_bf16_and_a_source_without_labels(data: Dataset, tmp_path: Path) -> None:
    spec = replace(data.spec, classes=())
    scores = throughput.run(example_subject(Rivals(), data, tmp_path, precision="bf16", spec=spec), FAST)
    assert "by bf16 matrix products" in scores["share_of_peak"].note


def test_slower_encoding_is_seen_as_slower(data: Dataset, tmp_path: Path) -> None:
    """Eight times the work: the bounds are wide, since other programs may take half of the machine meanwhile."""
    once = throughput.run(example_subject(Network(), data, tmp_path), throughput.Config(seconds=0.1))
    eight = throughput.run(example_subject(Network(repeats=8), data, tmp_path), throughput.Config(seconds=0.1))
    ratio = once["encode_images_per_second"].value / eight["encode_images_per_second"].value
    assert 2.5 < ratio < 25
    assert eight["latency_p50"].value > 2 * once["latency_p50"].value
    assert eight["flops_per_image"].value == 8 * once["flops_per_image"].value
    assert eight["parameters"].value == once["parameters"].value


def test_config_and_specification() -> None:
    with pytest.raises(ValueError, match="seconds must be positive"):
        throughput.Config(seconds=0)
    spec = throughput.harness_evaluation()
    assert spec.exclusive
    assert {score.name for score in spec.scores} == ENCODING | TRAINING
    assert [score.name for score in spec.scores if score.primary] == ["encode_images_per_second"]
