"""The contract of what generative methods can do: a sound one passes, and each way to break it is found by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.contract.kit import one_thread, run_check, small_datasets
from harness.contract.methods import method_checks
from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.nn.backbone import Backbone
from harness.nn.conditions import ConditionEncoder
from harness.plugin.specs import MethodSpec, NoConfig
from harness.registry import Registry

USES = ("labels", "paired")


class Able(nn.Module):
    """A linear autoencoder of code and condition, which translates, stylises, diffuses and is read in two places."""

    condition = "labels"

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Any) -> None:
        super().__init__()
        self.data = data
        self.backbone = backbone
        self.asked = ConditionEncoder("labels", data, backbone.dim)
        self.decoder = nn.Linear(backbone.dim, data.inputs.channels * data.inputs.size**2)

    def loss(self, batch: Batch) -> Tensor:
        assert batch.labels is not None
        assert batch.paired is not None
        images = torch.cat([batch.inputs, 1 - batch.paired])
        rebuilt = self.decode(self.backbone(images) + self.asked(batch.labels.repeat(2)))
        return F.mse_loss(rebuilt, batch.inputs.repeat(2, 1, 1, 1))

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)

    def readouts(self) -> tuple[str, ...]:
        return ("features", "squares")

    def read(self, images: Tensor, readout: str) -> Tensor:
        features = self.backbone(images)
        return features if readout == "features" else features.square()

    def code(self, images: Tensor) -> Tensor:
        return self.backbone(images)

    def decode(self, code: Tensor) -> Tensor:
        return self.decoder(code).sigmoid().view(-1, *self.data.inputs.shape)

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.backbone(images))

    def code_bits(self) -> float:
        return 32.0 * self.backbone.dim

    def sample_as(self, condition: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(len(condition), self.backbone.dim, generator=generator)
        return self.decode(noise + self.asked(condition))

    def translate(self, paired: Tensor) -> Tensor:
        return self.reconstruct(1 - paired)

    def translate_back(self, images: Tensor) -> Tensor:
        return 1 - self.reconstruct(images)

    def stylise(self, content: Tensor, style: Tensor) -> Tensor:
        return self.decode(self.backbone(content) + self.backbone(style))

    def log_likelihood_bound(self, images: Tensor, samples: int) -> Tensor:
        return -F.mse_loss(self.reconstruct(images), images, reduction="none").sum((1, 2, 3))

    def forward_process(self, images: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        noise = torch.rand(images.shape, generator=generator)
        weight = torch.linspace(0, 1, steps).view(1, -1, 1, 1, 1)
        return (1 - weight) * images[:, None] + weight * noise[:, None]

    def reverse_process(self, n: int, steps: int, generator: torch.Generator) -> Tensor:
        labels = torch.zeros(n, dtype=torch.int64)
        return self.forward_process(self.sample_as(labels, generator), steps, generator).flip(1)


class Undeclared(Able):
    condition = "captions"


class Deaf(Able):
    def sample_as(self, condition: Tensor, generator: torch.Generator) -> Tensor:
        return super().sample_as(torch.zeros_like(condition), generator)


class Unseeded(Able):
    def sample_as(self, condition: Tensor, generator: torch.Generator) -> Tensor:
        return (super().sample_as(condition, generator) + 0.1 * torch.rand(1)).clamp(0, 1)


class MapCode(Able):
    def code(self, images: Tensor) -> Tensor:
        return super().code(images)[:, :, None]


class OtherDecoder(Able):
    def reconstruct(self, images: Tensor) -> Tensor:
        return 1 - self.decode(self.code(images))


class Enlarging(Able):
    def translate(self, paired: Tensor) -> Tensor:
        return super().translate(paired).repeat(1, 1, 2, 2)


class BackOutOfRange(Able):
    def translate_back(self, images: Tensor) -> Tensor:
        return -super().translate_back(images)


class Unstyled(Able):
    def stylise(self, content: Tensor, style: Tensor) -> Tensor:
        return self.reconstruct(content)


class OneBound(Able):
    def log_likelihood_bound(self, images: Tensor, samples: int) -> Tensor:
        return super().log_likelihood_bound(images, samples).mean()


class Backwards(Able):
    def forward_process(self, images: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        return super().forward_process(images, steps, generator).flip(1)


class Elsewhere(Able):
    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images) + 1


class Twice(Able):
    def readouts(self) -> tuple[str, ...]:
        return ("features", "features")


class Peeks(Able):
    def loss(self, batch: Batch) -> Tensor:
        return super().loss(batch) + (0 if batch.captions is None else batch.captions.float().mean())


def outcomes(build: type, names: list[str] | None = None) -> list[Any]:
    convnet = Registry().load("convnet", ("backbone",)).spec
    spec = MethodSpec(name="able", kind="model", build=build, source="own work", uses=USES)
    with one_thread():
        checks = method_checks(spec, NoConfig(), small_datasets()[0], convnet)
        chosen = [(name, check) for name, check in checks if names is None or name.partition(" ")[0] in names]
        return [run_check("able", name, check) for name, check in chosen]


def test_a_sound_generator_passes_everything() -> None:
    found = outcomes(Able)
    assert not [check for check in found if check.status == "failed"]
    skipped = {check.name.partition(" ")[0] for check in found if check.status == "skipped"}
    assert skipped == {
        "samples_from_its_generator_alone",  # it samples on request
        "feeds_its_trunk",  # as every method does that says nothing of it
        "interpolates_between_reconstructions",
        "predicts_classes",
        "poses_its_pretext_task",
        "predicts_words_from_those_before",
        "completes_texts_from_its_generator_alone",
        "draws_futures_from_its_generator_alone",
    }


@pytest.mark.parametrize(
    ("build", "name", "message"),
    [
        (Undeclared, "samples_what_is_asked_for", "its condition is 'captions', but its spec uses labels"),
        (Deaf, "samples_what_is_asked_for", "the same images whatever labels it is asked for"),
        (Unseeded, "samples_what_is_asked_for", "depends on more than the generator"),
        (MapCode, "decodes_its_codes", "code() returned (32, 128, 1), expected (B, L)"),
        (OtherDecoder, "decodes_its_codes", "away from reconstruct(x)"),
        (Enlarging, "translates_images", "translate() returned (32, 1, 16, 16), expected (32, 1, 8, 8)"),
        (BackOutOfRange, "translates_images", "translate_back() returned values from"),
        (Unstyled, "stylises_images", "takes no notice of the style"),
        (OneBound, "bounds_the_likelihood", "returned (), expected (32,)"),
        (Backwards, "shows_its_process", "away from the image"),
        (Elsewhere, "is_read_where_it_says", "encode() differs from the first readout, 'features'"),
        (Twice, "is_read_where_it_says", "expected different names"),
        (Peeks, "sees_what_it_says_alone", "its loss changes when the batch carries captions"),
    ],
)
def test_a_spoilt_generator_fails_its_check(build: type, name: str, message: str) -> None:
    (outcome,) = outcomes(build, [name])
    assert outcome.status == "failed"
    assert message in outcome.detail
