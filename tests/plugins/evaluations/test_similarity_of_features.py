"""CKA of features with those before training and with the inputs, of layers, and what is kept for the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from example_subject import digits_dataset, example_subject
from torch import Tensor, nn

from harness.errors import NotApplicable
from harness.judging import compared
from harness.judging.layers import layers_of, watched
from harness.judging.subject import Subject
from harness.metrics.centred_alignment import gram, linear_cka
from harness_plugins.evaluations.similarity import SCORES, Config, run


class Encoder(nn.Module):
    """A backbone with a trunk of three layers, one of them a sequence of two blocks."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        blocks = nn.Sequential(nn.Linear(32, 32), nn.ReLU())
        self.backbone = nn.Module()
        self.backbone.trunk = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), blocks, nn.Dropout(), nn.Linear(32, 8))

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone.trunk(images)


def subject_of(folder: Path, seed: int = 0, before: int = 1) -> Subject:
    subject = example_subject(Encoder(seed), digits_dataset(), folder)
    subject._untrained = lambda: Encoder(before)
    return subject


def test_scores_are_the_cka_of_the_same_images(tmp_path: Path) -> None:
    subject = subject_of(tmp_path)
    scores = run(subject, Config(examples=64))
    assert set(scores) == {score.name for score in SCORES}
    kept = compared.read(Path(subject.pictures[0].file))
    assert kept.features.shape == (64, 8)
    everything = subject.features("test")
    rows = [int(r) for r in torch.frombuffer(bytearray.fromhex(kept.examples.split()[-1]), dtype=torch.int32)]
    assert len(set(rows)) == 64
    inputs = subject.inputs("test").take(torch.tensor(rows))
    before = subject.batched(Encoder(1).eval().encode, inputs)
    for name, other in (("untrained", before), ("inputs", inputs.float())):
        expected = float(linear_cka([gram(everything[rows]), gram(other)])[0, 1])
        assert scores[f"cka_to_{name}"].value == pytest.approx(expected, abs=1e-6)
    alike = linear_cka([gram(everything[rows]), gram(kept.features)])
    assert float(alike[0, 1]) == pytest.approx(1, abs=1e-4)  # half precision, other axes


def test_what_did_not_train_is_as_it_was(tmp_path: Path) -> None:
    assert run(subject_of(tmp_path, before=0), Config())["cka_to_untrained"].value == pytest.approx(1.0)


def test_layers_are_compared_with_the_inputs_first_and_the_representation_last(tmp_path: Path) -> None:
    subject = subject_of(tmp_path)
    run(subject, Config())
    shown = json.loads(Path(subject.pictures[1].file).read_text())
    assert shown["rows"] == shown["columns"]
    assert shown["rows"] == ["inputs", "1 Linear", "2.0 Linear", "2.1 ReLU", "4 Linear", "representation"]
    assert shown["values"][-1][-2] == pytest.approx(1.0)  # the last layer is the representation
    assert len(subject.method.backbone.trunk[1]._forward_hooks) == 0


def test_what_has_no_backbone_or_was_fitted_in_closed_form(tmp_path: Path) -> None:
    class Fitted(nn.Module):
        def fit(self, images: Tensor) -> None: ...

        def encode(self, images: Tensor) -> Tensor:
            return images.flatten(1)

    subject = example_subject(Fitted(), digits_dataset(), tmp_path)
    scores = run(subject, Config())
    assert set(scores) == {"cka_to_inputs"}
    assert scores["cka_to_inputs"].value == pytest.approx(1.0)
    assert [picture.kind for picture in subject.pictures] == ["features"]
    assert layers_of(Fitted()) == {}


def test_an_output_of_other_rows_leaves_no_layer() -> None:
    layer = nn.Linear(2, 2)
    with watched({"a": layer}, 4) as grams:
        layer(torch.ones(8, 2))
    assert grams == {}


def test_few_images_and_bad_limits(tmp_path: Path) -> None:
    data = digits_dataset()
    few = replace(data, test=data.test.rows(torch.arange(3)))
    with pytest.raises(NotApplicable, match="has 3 test examples: CKA needs 4"):
        run(example_subject(Encoder(0), few, tmp_path), Config())
    with pytest.raises(ValueError, match="examples must be 4 to 512"):
        Config(examples=3)


def test_features_wider_than_examples_are_kept_without_loss(tmp_path: Path) -> None:
    features = 1e6 * torch.randn(20, 300, generator=torch.Generator().manual_seed(0)) + 1e7
    compared.write(tmp_path / "a.npz", features, torch.arange(20), "digits 0")
    kept = compared.read(tmp_path / "a.npz")
    assert kept.features.shape == (20, 20)
    assert float(linear_cka([gram(features), gram(kept.features)])[0, 1]) == pytest.approx(1.0, abs=1e-5)
    compared.write(tmp_path / "b.npz", torch.ones(20, 3), torch.arange(20), "digits 0")
    assert compared.read(tmp_path / "b.npz").features.abs().max() == 0
    assert compared.read(tmp_path / "b.npz").examples == kept.examples
