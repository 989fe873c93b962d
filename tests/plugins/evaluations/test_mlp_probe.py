"""The MLP probe: what it reads that no line reads, its linear half against the linear probe, and few labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from example_subject import digits_dataset, example_subject
from sklearn.metrics import accuracy_score, log_loss
from torch import Tensor, nn

from harness.data.columns import InMemory
from harness.data.rows import Dataset
from harness.errors import NotApplicable
from harness.labels import Labels
from harness_plugins.evaluations import linear_probe
from harness_plugins.evaluations.mlp_probe import Config, logits_of, losses_of, run

QUICK = Config(steps=150)


class Flat(nn.Module):
    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class Two(nn.Module):
    """Two numbers of an image: the brightness of its upper and of its lower half."""

    def encode(self, images: Tensor) -> Tensor:
        return torch.stack([images[:, :, :4].mean((1, 2, 3)), images[:, :, 4:].mean((1, 2, 3))], 1)


def exclusive_or() -> Dataset:
    """Digits whose class is whether exactly one half of the image is bright: no line tells it."""
    data = digits_dataset()
    generator = torch.Generator().manual_seed(0)
    changed = {}
    for split in ("train", "validation", "test"):
        rows = data.split(split)
        bright = torch.randint(0, 2, (len(rows), 2), generator=generator)
        images = (40 + 140 * bright).repeat_interleave(4, 1)[:, None, :, None].expand(-1, -1, -1, 8)
        images = images + torch.randint(0, 40, images.shape, generator=generator)
        labels = (bright[:, 0] != bright[:, 1]).long()
        changed[split] = replace(rows, inputs=InMemory(images.to(torch.uint8).contiguous()), labels=labels)
    return replace(data, spec=replace(data.spec, classes=("alike", "unlike")), **changed)


def test_what_only_a_network_reads(tmp_path: Path) -> None:
    scores = run(example_subject(Two(), exclusive_or(), tmp_path), QUICK)
    assert scores["accuracy"].value == 1
    assert scores["linear_accuracy"].value < 0.8
    assert scores["over_linear"].value == pytest.approx(1 - scores["linear_accuracy"].value)
    assert set(scores["over_linear"].outcomes.tolist()) <= {-1.0, 0.0, 1.0}


def test_it_reads_digits_better_than_a_line(tmp_path: Path) -> None:
    subject = example_subject(Flat(), digits_dataset(), tmp_path)
    scores = run(subject, Config(steps=300))
    assert scores["accuracy"].value > 0.96
    linear = linear_probe.run(subject, linear_probe.Config())
    assert scores["linear_accuracy"].value == linear["accuracy"].value
    assert torch.equal(scores["linear_accuracy"].outcomes, linear["accuracy"].outcomes)
    assert scores["nll"].value < linear["nll"].value
    for name in ("accuracy", "linear_accuracy", "over_linear", "nll"):
        assert float(scores[name].outcomes.double().mean()) == pytest.approx(scores[name].value)


def test_the_batched_network_is_that_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3))
    w1, b1, w2, b2 = (value.detach() for value in network.parameters())
    features, labels = torch.randn(20, 7, generator=generator), torch.arange(20) % 3
    parameters = {"w1": w1.T[None], "b1": b1[None, None], "w2": w2.T[None], "b2": b2[None, None]}
    parameters = {name: torch.cat([value, 0 * value]) for name, value in parameters.items()}
    logits = logits_of(parameters, features)
    torch.testing.assert_close(logits[0], network(features))
    shares = logits.double().softmax(2)
    assert losses_of(logits, labels).tolist() == pytest.approx(
        [log_loss(labels, each.detach().double()) for each in shares]
    )
    assert accuracy_score(labels, shares[1].argmax(1)) == pytest.approx(7 / 20)  # all alike: the first class


def test_the_same_subject_twice_gives_the_same_bits(tmp_path: Path) -> None:
    few = Config(steps=40)
    first, second = (run(example_subject(Flat(), digits_dataset(), tmp_path), few) for _ in range(2))
    assert all(first[name].value == second[name].value for name in first)
    assert first["accuracy"].note == second["accuracy"].note


def test_few_labels_are_enough_to_run(tmp_path: Path) -> None:
    subject = example_subject(Flat(), digits_dataset(), tmp_path)
    few = [run(subject.with_labels(Labels.parse(text)), QUICK)["accuracy"].value for text in ("1%", "10%")]
    assert 0.2 < few[0] < few[1] < 0.96


def test_one_class_is_nothing_to_learn(tmp_path: Path) -> None:
    data = digits_dataset()
    alone = replace(data, train=data.train.rows((data.train.labels == 3).nonzero().flatten()))
    with pytest.raises(NotApplicable, match="fewer than two classes"):
        run(example_subject(Flat(), alone, tmp_path), QUICK)


def test_a_config_is_checked() -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        Config(steps=0)
