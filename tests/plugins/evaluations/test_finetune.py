"""Fine-tuning: what is copied, what holds still, what is chosen by what; on images, clips and texts."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn
from toys import cell, dataset, registry, subject

from harness import loading
from harness.building import build_backbone, build_method
from harness.data.rows import Dataset, Rows, read_as
from harness.errors import NotApplicable
from harness.judging.finetuning import Descent, Transferred, best_checkpoint, examples_of
from harness.judging.subject import Subject
from harness.nn.stages import copy_stages
from harness.records import PluginRef
from harness_plugins.datasets.shapes import Config as Shapes
from harness_plugins.evaluations import finetune
from harness_plugins.evaluations.finetune import SCORES, Config, harness_evaluation, run

QUICK = Config(labels=60, steps=6, rates=2, checkpoints=2, batch_size=16, validation_limit=60)


def few(data: Dataset, n: int = 200) -> Dataset:
    """The first rows of each split, which come in no order."""
    return replace(
        data, **{name: getattr(data, name).rows(torch.arange(min(n, len(getattr(data, name)))))
                 for name in ("train", "validation", "test")}
    )  # fmt: skip


def judged(
    kind: str, folder: Path, method: str = "random-init", precision: Literal["fp32", "bf16"] = "fp32", **weights: float
) -> Subject:
    """A method on some of the example of its kind, its backbone's weights moved away from their start."""
    data = dataset(kind)
    data = few(read_as(data, data.spec))
    asked = cell(kind, method)
    built = build_method(registry(), asked, data.spec)
    for weight in built.parameters():
        weight.data += weights.get("moved", 0.0) * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    found = subject(built, data, folder, kind, method)
    found.cell = replace(found.cell, precision=precision)
    found.new_backbone = partial(build_backbone, registry(), asked, data.spec)
    return found


@pytest.mark.parametrize(("kind", "stages"), [("image", 3), ("video", 2), ("text", 1)])
def test_every_kind_of_data_has_its_curves(kind: str, stages: int, tmp_path: Path) -> None:
    found = judged(kind, tmp_path)
    scores = run(found, QUICK)
    each = {f"{mode}_{k}" for mode in ("frozen", "tuned") for k in (*range(1, stages + 1), "all")}
    chosen = {f"{mode}{of}" for mode in ("frozen", "tuned") for of in ("", "_k")}
    assert set(scores) == {"accuracy", "scratch", "over_scratch", "over_all_frozen", "best_k"} | each | chosen
    assert set(scores) <= {score.name for score in SCORES}
    content = json.loads(Path(found.pictures[-1].file).read_text())
    assert content["x"] == list(range(stages + 1))
    for mode in ("frozen", "tuned"):
        expected = [scores["scratch"].value, *(scores[f"{mode}_{k}"].value for k in range(1, stages + 1))]
        assert content["lines"][mode] == pytest.approx(expected, abs=1e-5)
        assert scores[f"{mode}_all"] == scores[f"{mode}_{stages}"]
        assert scores[mode] == scores[f"{mode}_{int(scores[f'{mode}_k'])}"]
    assert scores["accuracy"].value in (scores["frozen"].value, scores["tuned"].value)
    for gain, one, other in (("over_scratch", "accuracy", "scratch"), ("over_all_frozen", "frozen", "frozen_all")):
        assert scores[gain].value == pytest.approx(scores[one].value - scores[other].value)
        assert torch.equal(scores[gain].outcomes, scores[one].outcomes - scores[other].outcomes)
    assert scores["accuracy"].value in {scores[name].value for name in each}


def test_the_same_subject_twice_gives_the_same_bits_and_scratch_knows_no_trained_weight(tmp_path: Path) -> None:
    first, again = (run(judged("image", tmp_path), QUICK) for _ in range(2))
    moved = run(judged("image", tmp_path, moved=0.3), QUICK)
    assert first == again
    assert moved["scratch"] == first["scratch"]
    assert moved != first


def across(folder: Path, **changes: Any) -> Subject:
    """A method of digits (8x8, grey, 10 classes) on shapes (32x32 in colour, 4 classes), read as digits are."""
    source, shapes = (
        dataset("image"),
        loading.load(registry().load("shapes", ("dataset",)).spec, Shapes(n=400, test=200), Path(), 0),
    )
    source = few(read_as(source, source.spec))
    target = few(read_as(shapes, source.spec))
    asked = cell("image", "random-init", **changes)
    built = build_method(registry(), asked, source.spec)
    return Subject(
        method=built,
        cell=replace(asked, targets=(PluginRef(name="shapes"),)),
        source=source,
        learned_from=source.pretraining(()),
        target=target,
        artifacts=folder / "artifacts",
        cache=folder / "cache",
        fingerprint="example",
        new_backbone=partial(build_backbone, registry(), asked, source.spec),
    )


def test_another_dataset_of_other_size_channels_and_classes_is_fine_tuned_on(tmp_path: Path) -> None:
    found = across(tmp_path)
    assert (found.source.spec.inputs.title, len(found.source.spec.classes)) == ("8x8x1", 10)
    assert len(found.target.spec.classes) == 4
    assert found.target.train.inputs.take(torch.arange(2)).shape == (2, 1, 8, 8)
    assert "resized from 32x32x3 to 8x8x1" in found.note
    heads: list[int] = []

    class Seen(Transferred):
        def __init__(self, backbone: Any, classes: int, frozen: int) -> None:
            super().__init__(backbone, classes, frozen)
            heads.append(classes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetune, "Transferred", Seen)
        scores = run(found, QUICK)
    assert set(heads) == {4}
    assert scores["accuracy"].chance == pytest.approx(float(found.labels("test").bincount().max()) / 200)
    assert len(scores["accuracy"].outcomes) == len(found.target.test) == 200
    assert 0.1 < scores["tuned_all"].value < 1


def test_in_bf16_it_learns_as_in_fp32(tmp_path: Path) -> None:
    """The same labels, start and order: test accuracies differ by rounding alone, and not by what was learned."""
    config = replace(QUICK, labels=150, steps=30, rates=1, checkpoints=1, modes="tuned", slowest=1e-2, fastest=1e-2)
    full, half = (run(judged("image", tmp_path, precision=precision), config) for precision in ("fp32", "bf16"))
    assert full["scratch"].value > 0.4
    for name in ("scratch", "tuned_all"):
        assert half[name].value == pytest.approx(full[name].value, abs=0.06)
    assert any(
        float((half[name].outcomes != full[name].outcomes).sum()) for name in half if hasattr(half[name], "value")
    )


HOW = Descent(rates=[1e-2], steps=5, looks=1, batch_size=16, precision="fp32", seed=0)


@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_frozen_stages_do_not_change_and_all_others_do(kind: str, frozen: int, tmp_path: Path) -> None:
    """Weights and BatchNorm's statistics, to the bit; a backbone of clips is run as a whole, one of images in parts."""
    found = judged(kind, tmp_path)
    fresh = found.fresh_backbone("test")
    copy_stages(fresh.stages()[:frozen], found.backbone.trunk, fresh.trunk)
    before = copy.deepcopy(fresh.trunk.state_dict())
    start = Transferred(fresh, len(found.spec.classes), frozen)
    rows = found.target.train.rows(torch.arange(40))
    given = examples_of(found, rows.inputs, rows.labels, start.start)
    after = best_checkpoint(start, given, given, HOW).model.backbone.trunk.state_dict()
    held = fresh.stages()[:frozen]
    for name, value in after.items():
        if value.is_floating_point() and not _follows_batch_norm(name, kind):
            assert torch.equal(value, before[name]) == any(stage.holds(name) for stage in held), name
    assert all(torch.equal(value, before[name]) for name, value in after.items() if any(s.holds(name) for s in held))


def _follows_batch_norm(name: str, kind: str) -> bool:
    """A bias that BatchNorm takes away again hardly gets a gradient."""
    return kind == "image" and name in {"0.bias", "3.bias", "6.bias"}


def test_what_frozen_stages_give_once_is_what_they_give_in_every_step(tmp_path: Path) -> None:
    found = judged("image", tmp_path)
    rows = found.target.train.rows(torch.arange(40))

    def trained(chain: bool) -> Tensor:
        fresh = found.fresh_backbone("test")
        copy_stages(fresh.stages()[:2], found.backbone.trunk, fresh.trunk)
        if not chain:
            fresh._stages = tuple(replace(stage, apply=None) for stage in fresh.stages())
        torch.manual_seed(0)
        start = Transferred(fresh, 10, 2)
        assert start.start == (2 if chain else 0)
        given = examples_of(found, rows.inputs, rows.labels, start.start)
        return best_checkpoint(start, given, given, HOW).model.head.weight

    torch.testing.assert_close(trained(True), trained(False), rtol=1e-3, atol=1e-5)


def test_the_checkpoint_is_chosen_on_validation_alone(tmp_path: Path) -> None:
    """With other test labels, all choices are the same; with other validation labels some are not."""
    found = judged("image", tmp_path)
    notes = [score.note for score in run(found, QUICK).values() if not isinstance(score, float)]
    wrong = replace(found.target.test, labels=(found.target.test.labels + 1) % 10)
    found.target = replace(found.target, test=wrong)
    found.begin(tmp_path / "wrong")
    scores = run(found, QUICK)
    assert [score.note for score in scores.values() if not isinstance(score, float)] == notes
    held = replace(found.target.validation, labels=(found.target.validation.labels + 1) % 10)
    found.target = replace(found.target, validation=held)
    found.begin(tmp_path / "held")
    others = [score.note for score in run(found, QUICK).values() if not isinstance(score, float)]
    assert others != notes


def test_more_labels_and_steps_do_better_than_few(tmp_path: Path) -> None:
    found, longer = judged("image", tmp_path), replace(QUICK, steps=40, rates=1, slowest=5e-3, modes="frozen")
    few_labels = run(found, replace(longer, labels=10))
    found.begin(tmp_path / "many")
    many = run(found, replace(longer, labels=1.0))
    assert many["accuracy"].value > few_labels["accuracy"].value + 0.1
    assert many["accuracy"].value > 0.6
    assert "10 labelled images, 40 steps" in few_labels["accuracy"].note
    assert "200 labelled images" in many["accuracy"].note
    assert not [name for name in many if name.startswith("tuned")]


class Halved(nn.Module):
    """Shows its trunk half of every value."""

    def __init__(self, method: nn.Module) -> None:
        super().__init__()
        self.backbone = method.backbone

    def trunk_inputs(self, images: Tensor) -> Tensor:
        return images / 2

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone.trunk(self.trunk_inputs(images))


def test_inputs_reach_the_trunk_as_the_method_gives_them(tmp_path: Path) -> None:
    found = judged("image", tmp_path)
    found.method = Halved(found.method).eval()
    column = found.target.train.inputs
    given = examples_of(found, column, found.target.train.labels, 0).read(torch.tensor([3, 5]))
    torch.testing.assert_close(given, found.target.train.values[[3, 5]] / 255 / 2)
    deep = examples_of(found, column, found.target.train.labels, 3).read(torch.tensor([3, 5]))
    torch.testing.assert_close(deep, found.method.encode(found.target.train.values[[3, 5]] / 255), rtol=1e-4, atol=1e-5)


def test_what_it_does_not_apply_to(tmp_path: Path) -> None:
    found = judged("image", tmp_path)
    data = found.target
    found.target = replace(data, train=Rows(inputs=data.train.inputs))
    with pytest.raises(NotApplicable, match="digits has no labels"):
        run(found, QUICK)
    found.target = replace(data, train=replace(data.train, labels=torch.zeros(len(data.train), dtype=torch.int64)))
    with pytest.raises(NotApplicable, match="fewer than two classes"):
        run(found, QUICK)
    pixels = subject(build_method(registry(), cell("image", "pixels"), data.spec), data, tmp_path, "image", "pixels")
    with pytest.raises(NotApplicable, match="pixels has no backbone"):
        run(pixels, QUICK)
    assert harness_evaluation().on_request


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"labels": 0}, "labels is a number"),
        ({"slowest": 1.0}, "0 < slowest <= fastest"),
        ({"checkpoints": 0}, "must be at least 1"),
        ({"batch_size": 1}, "must be at least 1, batch_size and validation_limit 2"),
    ],
)
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**params)


def test_labels_are_a_number_or_a_fraction() -> None:
    assert [Config(labels=labels).rows(1000) for labels in (1.0, 0.1, 0.0001, 10, 5000)] == [1000, 100, 1, 10, 1000]
    assert Config(rates=3).grid == pytest.approx([1e-3, 5.477e-3, 3e-2], rel=1e-3)
