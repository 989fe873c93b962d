"""The kit itself: each way to break the contract is found, by the check that is meant for it, and by its message."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from findings import checked, plugin
from torch import Tensor, nn

from harness.contract.kit import backbone_for, check_plugin, one_thread, run_check, small_datasets
from harness.contract.methods import CHECKS, MethodCase, method_checks, trains_all_weights_and_saves_all_state
from harness.contract.requirements import Told
from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.errors import NotApplicable
from harness.judging.subject import Subject
from harness.nn.backbone import Backbone
from harness.plugin.capabilities import CAPABILITIES
from harness.plugin.specs import BackboneSpec, DatasetSpec, EvaluationSpec, MethodSpec, NoConfig
from harness.records import ScoreSpec
from harness.registry import Registry


class Sound(nn.Module):
    """A denoising autoencoder with every capability; the tests below spoil it in one way each."""

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Any) -> None:
        super().__init__()
        self.backbone = backbone
        self.data = data
        self.decoder = nn.Linear(backbone.dim, data.inputs.channels * data.inputs.size**2)
        self.head = nn.Linear(backbone.dim, len(data.classes))

    def loss(self, batch: Batch) -> Tensor:
        noisy = batch.inputs + 0.1 * torch.randn_like(batch.inputs)
        return F.mse_loss(self.decode(self.backbone(noisy)), batch.inputs)

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)

    def decode(self, codes: Tensor) -> Tensor:
        return self.decoder(codes).sigmoid().view(-1, *self.data.inputs.shape)

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))

    def code_bits(self) -> float:
        return 32.0 * self.backbone.dim

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return self.decode(torch.randn(n, self.backbone.dim, generator=generator))

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        weight = torch.linspace(0, 1, steps)[:, None]
        path = self.encode(start)[:, None] * (1 - weight) + self.encode(end)[:, None] * weight
        return self.decode(path.flatten(0, 1)).unflatten(0, (len(start), steps))

    def predict(self, images: Tensor) -> Tensor:
        return self.head(self.backbone(images))

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.head(self.backbone(batch.inputs)), torch.zeros(len(batch.inputs), dtype=torch.int64)


def method(build: Any, **options: Any) -> MethodSpec:
    return MethodSpec(**{"name": "sound", "kind": "model", "build": build, "source": "own work", **options})


class Streaming(Sound):
    """Keeps an iterator, which no file can hold."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.stream = itertools.cycle([0.1, 0.2])

    def loss(self, batch: Batch) -> Tensor:
        return super().loss(batch) * next(self.stream)


def test_what_cannot_go_on_where_it_is_interrupted_is_noted() -> None:
    case = MethodCase(method(Streaming), NoConfig(), small_datasets()[0], backbone_for("image", Registry()))
    with pytest.raises(Told, match=r"starts anew, since no file can keep it: method\.stream is a cycle$"):
        trains_all_weights_and_saves_all_state(case)


def test_a_sound_method_passes_everything(tmp_path: Path) -> None:
    checks = check_plugin(plugin(method(Sound), "model", tmp_path), Registry(), tmp_path)
    assert not [check for check in checks if check.status == "failed"]
    assert {check.detail.partition("(")[0] for check in checks if check.status == "skipped"} <= {
        f"it has no {name}" for name in CAPABILITIES
    }
    assert [check.detail for check in checks if check.status == "note"] == [
        "head.weight, head.bias never got a gradient: freeze what is not to be trained, with requires_grad_(False)"
    ]
    assert len(checks) == 4 + 2 * (1 + len(CHECKS)) - 1  # the note is not repeated for the other shape


class NoEncode(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Any) -> None:
        super().__init__()


class TwoWays(Sound):
    def fit(self, images: Tensor) -> None:
        pass


class VectorLoss(Sound):
    def loss(self, batch: Batch) -> Tensor:
        return (self.decode(self.backbone(batch.inputs)) - batch.inputs).square().flatten(1).mean(1)


class InfiniteLoss(Sound):
    def loss(self, batch: Batch) -> Tensor:
        return super().loss(batch) / 0


class Detached(Sound):
    def loss(self, batch: Batch) -> Tensor:
        return F.mse_loss(self.decode(self.backbone(batch.inputs).detach()), batch.inputs)


class Stuck(Sound):
    def loss(self, batch: Batch) -> Tensor:
        return 0 * super().loss(batch) + 1


class Tires(Sound):
    steps = 0

    def loss(self, batch: Batch) -> Tensor:
        self.steps += 1
        return super().loss(batch) / (self.steps <= 21)


class Counts(Sound):
    def loss(self, batch: Batch) -> Tensor:
        return super().loss(batch) + 0 * (batch.inputs.flatten(1).mean(1) * torch.ones(32)).sum()


class Peeks(Sound):
    def loss(self, batch: Batch) -> Tensor:
        extra = 0.0 if batch.labels is None else F.cross_entropy(self.predict(batch.inputs), batch.labels)
        return super().loss(batch) + extra


class Unseeded(Sound):
    drawn = torch.Generator().manual_seed(5)

    def loss(self, batch: Batch) -> Tensor:
        noise = torch.rand(batch.inputs.shape, generator=self.drawn)
        return F.mse_loss(self.decode(self.backbone(batch.inputs + noise)), batch.inputs)


class Noisy(Sound):
    def encode(self, images: Tensor) -> Tensor:
        codes = self.backbone(images)
        return codes + torch.randn_like(codes)


class BatchBound(Sound):
    def encode(self, images: Tensor) -> Tensor:
        codes = self.backbone(images)
        return codes - codes.mean(0)


class Collapsed(Sound):
    def encode(self, images: Tensor) -> Tensor:
        return 0 * self.backbone(images)


class Maps(Sound):
    def encode(self, images: Tensor) -> Tensor:
        return images


class Forgetful(Sound):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Any) -> None:
        super().__init__(backbone, data, config)
        self.rotation = torch.randn(backbone.dim, backbone.dim)  # neither a parameter nor a buffer

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images) @ self.rotation


class OutOfRange(Sound):
    def decode(self, codes: Tensor) -> Tensor:
        return self.decoder(codes).view(-1, *self.data.inputs.shape) + 3


class NoSize(Sound):
    def code_bits(self) -> float:
        return 0.0


class GlobalSamples(Sound):
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return self.decode(torch.randn(n, self.backbone.dim))


class OneSample(Sound):
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.zeros(n, *self.data.inputs.shape)


class WrongEnds(Sound):
    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        return super().interpolate(end, start, steps)


class WrongClasses(Sound):
    def predict(self, images: Tensor) -> Tensor:
        return self.backbone(images)


class WrongAnswers(Sound):
    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        logits, answers = super().solve(batch)
        return logits, answers + logits.shape[1]


SPOILT = [
    (NoEncode, "can_be_built", "it has no encode()"),
    (TwoWays, "can_be_built", "it has fit and loss: choose one way to learn"),
    (VectorLoss, "loss_is_a_finite_scalar", "the loss returned (32,), expected ()"),
    (InfiniteLoss, "loss_is_a_finite_scalar", "the loss returned values that are not finite"),
    (Detached, "gradients_reach_the_backbone", "no gradient reaches trunk"),
    (Stuck, "gradients_reach_the_backbone", "all gradients of the backbone are zero"),
    (Stuck, "steps_lower_the_loss", "20 steps on one batch take the loss from"),
    (Tires, "trains_on", "the loss is inf at step 22"),
    (Counts, "trains_on", "5"),
    (Peeks, "sees_what_it_says_alone", "carries labels: name them in its spec's uses"),
    (Unseeded, "training_is_reproducible", "two trainings with one seed give the losses"),
    (Noisy, "encodes_images", "no noise in eval mode"),
    (BatchBound, "encodes_images", "with the other images of its batch"),
    (Collapsed, "encodes_images", "gives every image the same representation"),
    (Maps, "encodes_images", "encode() returned (32, 1, 8, 8), expected (32, D): flatten before returning"),
    (Forgetful, "encoding_survives_saving", "register all state as parameters or buffers"),
    (OutOfRange, "reconstructs_images", "expected [0,1]"),
    (NoSize, "reconstructs_images", "code_bits() is 0.0"),
    (GlobalSamples, "samples_from_its_generator_alone", "depends on more than the generator"),
    (OneSample, "samples_from_its_generator_alone", "the same images whatever its generator"),
    (WrongEnds, "interpolates_between_reconstructions", "away from its reconstruction"),
    (WrongClasses, "predicts_classes", "predict() returned (32, 128), expected (32, 10)"),
    (WrongAnswers, "poses_its_pretext_task", "solve()'s targets run from 10 to 10 for 10 answers"),
]


@pytest.mark.parametrize(("build", "name", "message"), SPOILT, ids=[build.__name__ for build, _, _ in SPOILT])
def test_a_spoilt_method_fails_its_check(build: type, name: str, message: str) -> None:
    convnet = Registry().load("convnet", ("backbone",)).spec
    grey = small_datasets()[0]
    with one_thread():
        checks = dict(method_checks(method(build), NoConfig(), grey, convnet))
        outcome = run_check("spoilt", name, checks[f"{name} [{grey.title}]"])
    assert outcome.status == "failed"
    assert message in outcome.detail


def test_a_method_that_does_not_apply_is_skipped_with_its_reason(tmp_path: Path) -> None:
    def build(backbone: Backbone, data: DataSpec[ImageField], config: Any) -> nn.Module:
        if data.inputs.size < 16:
            raise NotApplicable("images too small")
        return Sound(backbone, data, config)

    checks = check_plugin(plugin(method(build), "model", tmp_path), Registry(), tmp_path)
    skipped = [check for check in checks if check.status == "skipped" and "8x8x1" in check.name]
    assert [(check.name, check.detail) for check in skipped] == [("can_be_built [8x8x1]", "images too small")]
    assert sum("16x16x3" in check.name for check in checks) == 1 + len(CHECKS)


class Adversarial(Sound):
    """Two networks in turn."""

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Any) -> None:
        super().__init__(backbone, data, config)
        self.critic = nn.Linear(data.inputs.channels * data.inputs.size**2, 1)

    loss = None  # type: ignore[assignment]

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        fake = self.decode(self.backbone(batch.inputs))
        yield "critic", self.critic(fake.detach().flatten(1)).mean() - self.critic(batch.inputs.flatten(1)).mean()
        yield "backbone", -self.critic(fake.flatten(1)).mean()


def test_a_method_with_turns(tmp_path: Path) -> None:
    checks = check_plugin(plugin(method(Adversarial), "model", tmp_path), Registry(), tmp_path)
    assert not [check for check in checks if check.status == "failed"]
    skipped = [check for check in checks if check.status == "skipped" and not check.detail.startswith("it has no")]
    assert {check.name.partition(" ")[0] for check in skipped} == {"steps_lower_the_loss"}


def test_docstring_source_and_config_are_asked_for(tmp_path: Path) -> None:
    @dataclass
    class Changeable:
        size: int = 3

    @dataclass(frozen=True)
    class Odd:
        size: Any = frozenset({1})

    failed = checked(method(Sound, config=Changeable), "model", tmp_path, docstring="x = 1")
    assert "has no docstring" in failed["documented"].detail
    assert "use @dataclass(frozen=True)" in failed["config"].detail
    failed = checked(method(Sound, config=Odd, source=""), "model", tmp_path)
    assert "the spec's source is empty" in failed["documented"].detail
    assert "not JSON serializable" in failed["config"].detail


# Backbones. -----------------------------------------------------------------------------------------------------------


def trunk(data: DataSpec[ImageField], *layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(data.inputs.channels * data.inputs.size**2, 7), *layers)


class OverBatch(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features - features.mean(0)


BACKBONES = [
    (lambda data, config: Backbone(trunk(data), 8, data, any_size=False), "encodes_to_its_dim", "expected (32, 8)"),
    (lambda data, config: trunk(data), "encodes_to_its_dim", "expected a harness.nn Backbone"),
    (
        lambda data, config: Backbone(trunk(data, OverBatch()), 7, data, any_size=False),
        "answers_alike_in_any_batch",
        "with the other images of its batch",
    ),
    (
        lambda data, config: Backbone(trunk(data), 7, data, any_size=True),
        "takes_the_sizes_that_it_claims",
        "RuntimeError",
    ),
]


@pytest.mark.parametrize(("build", "name", "message"), BACKBONES)
def test_a_spoilt_backbone_fails_its_check(build: Any, name: str, message: str, tmp_path: Path) -> None:
    failed = checked(BackboneSpec(name="b", build=build, source="own work"), "backbone", tmp_path)
    assert message in failed[name].detail


def test_a_backbone_must_be_fixed_by_the_seed(tmp_path: Path) -> None:
    drawn = torch.Generator().manual_seed(1)

    def build(data: DataSpec[ImageField], config: Any) -> Backbone:
        layers = trunk(data)
        layers[1].weight.data = torch.randn(layers[1].weight.shape, generator=drawn)
        layers[1].bias.requires_grad_(False)
        return Backbone(layers, 7, data, any_size=False)

    failed = checked(BackboneSpec(name="b", build=build, source="own work"), "backbone", tmp_path)
    assert "differ in trunk.1.weight" in failed["is_fixed_by_the_seed"].detail


def test_a_plugin_that_needs_a_parameter_is_skipped_without_it(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Needy:
        path: str

    spec = DatasetSpec(name="d", describe=None, files=None, load=None, config=Needy, source="own work")  # type: ignore[arg-type]
    checks = check_plugin(plugin(spec, "dataset", tmp_path), Registry(), tmp_path)
    assert [(check.name, check.status, check.detail) for check in checks][-1] == ("config", "skipped", "needs path")


# Evaluations. ---------------------------------------------------------------------------------------------------------


def evaluation(*scores: ScoreSpec, needs: tuple[str, ...] = ("encode",)) -> EvaluationSpec:
    def run(subject: Subject, config: NoConfig) -> dict[str, float]:
        return {score.name: 0.5 for score in scores}

    return EvaluationSpec(name="e", run=run, scores=scores, needs=needs, source="own work")


ACCURACY = ScoreSpec(name="accuracy", unit="fraction", better="higher", low=0.0, high=1.0, primary=True)
FLOOR = ScoreSpec(name="floor", unit="fraction", better="none", beside="accuracy", word="floor")
EVALUATIONS = [
    (evaluation(ACCURACY), "", ""),
    (evaluation(), "scores_are_specified", "it yields no score"),
    (evaluation(ACCURACY, ACCURACY), "scores_are_specified", "two of its scores have one name"),
    (evaluation(ScoreSpec(name="x", unit="", better="lower")), "scores_are_specified", "x has no unit"),
    (evaluation(ScoreSpec(name="x", unit="m", better="up")), "scores_are_specified", "better when 'up'"),  # type: ignore[arg-type]
    (evaluation(ScoreSpec(name="x", unit="m", better="none", low=1, high=0)), "scores_are_specified", "lies in [1, 0]"),
    (
        evaluation(ACCURACY, ScoreSpec(name="f1", unit="fraction", better="higher", primary=True)),
        "at_most_one_score_ranks",
        "accuracy and f1 are both primary",
    ),
    (
        evaluation(ScoreSpec(name="x", unit="m", better="none", primary=True)),
        "at_most_one_score_ranks",
        "has no better direction",
    ),
    (evaluation(replace(ACCURACY, role="leads", proportion=True), FLOOR), "", ""),
    (
        evaluation(replace(ACCURACY, role="first")),  # type: ignore[arg-type]
        "scores_say_how_a_report_shows_them",
        "accuracy has the role 'first', which is none of leads, follows, ranks, told",
    ),
    (
        evaluation(replace(ACCURACY, primary=False, role="leads")),
        "scores_say_how_a_report_shows_them",
        "accuracy leads, but is not primary",
    ),
    (
        evaluation(ACCURACY, replace(FLOOR, word="")),
        "scores_say_how_a_report_shows_them",
        "floor needs both or none: beside='accuracy', word=''",
    ),
    (
        evaluation(ACCURACY, replace(FLOOR, beside="acuracy")),
        "scores_say_how_a_report_shows_them",
        "floor stands beside 'acuracy', which is no other score of it: ['accuracy']",
    ),
    (
        evaluation(ACCURACY, replace(FLOOR, beside="floor")),
        "scores_say_how_a_report_shows_them",
        "floor stands beside 'floor', which is no other score of it",
    ),
    (
        evaluation(ACCURACY, FLOOR, replace(FLOOR, name="ground")),
        "scores_say_how_a_report_shows_them",
        "two scores stand beside accuracy as floor",
    ),
    (
        evaluation(replace(ACCURACY, high=None, proportion=True)),
        "scores_say_how_a_report_shows_them",
        "accuracy is a proportion: say low=0 and high=1",
    ),
    (evaluation(ACCURACY, needs=("encod",)), "needs_are_known", "it needs encod, which is no capability"),
]


@pytest.mark.parametrize(("spec", "name", "message"), EVALUATIONS)
def test_evaluations(spec: EvaluationSpec, name: str, message: str, tmp_path: Path) -> None:
    failed = checked(spec, "evaluation", tmp_path)
    if not name:
        assert failed == {}
    else:
        assert message in failed[name].detail
