"""The contract kit on plugins of clips and of texts: the examples keep it, and what breaks it is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from moving_squares import Motion
from sentences import HiddenWord, Words
from torch import nn
from toys import BACKBONES, DATASETS, METHODS, registry

from harness.contract.encoders import backbone_for
from harness.contract.examples import EXAMPLES, small_datasets
from harness.contract.kit import Check, check_plugin, one_thread
from harness.contract.methods import CHECKS
from harness.data.batches import lengths_of
from harness.nn.backbone import Backbone
from harness.plugin.specs import BackboneSpec, EvaluationSpec, MethodSpec, NoConfig
from harness.records import ScoreSpec
from harness.registry import METHOD_KINDS, LoadedPlugin

KINDS = ["video", "text"]


def check(name: str, kinds: tuple[str, ...], **changes: Any) -> list[Check]:
    """The checks of an example, with its spec changed."""
    loaded = registry().load(name, kinds)
    return check_plugin(LoadedPlugin(**(vars(loaded) | {"spec": replace(loaded.spec, **changes)})), registry(), Path())


def failed(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.detail for check in checks if check.status == "failed"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_examples_keep_the_contract(kind: str) -> None:
    title = {"video": "5 frames of 8x8x1", "text": "texts of 9 tokens"}[kind]
    method = check(METHODS[kind], METHOD_KINDS)
    assert failed(method) == {}
    assert len(method) == 4 + 1 + len(CHECKS)
    passed = {check.name for check in method if check.status == "ok"}
    names = ["encodes_images", "steps_lower_the_loss", "poses_its_pretext_task", "gradients_reach_the_backbone"]
    assert {f"{name} [{title}]" for name in names} < passed
    encoder = check(BACKBONES[kind], ("backbone",))
    assert {check.status for check in encoder if not check.absent} == {"ok"}
    assert any(check.name == f"takes_the_sizes_that_it_claims [{title}]" for check in encoder)
    data = check(DATASETS[kind], ("dataset",))
    assert {check.status for check in data if not check.absent} == {"ok"}


@pytest.mark.parametrize("method", ["random-init", "supervised"])
def test_what_takes_every_kind_is_checked_on_every_kind(method: str) -> None:
    checks = check(method, METHOD_KINDS)
    assert failed(checks) == {}
    titles = {check.name.partition("[")[2] for check in checks if "[" in check.name}
    assert titles == {"8x8x1]", "16x16x3]", "5 frames of 8x8x1]", "texts of 9 tokens]"}


def test_the_examples_of_the_kit_are_of_their_kind_and_the_same_every_time() -> None:
    for kind in ("image", *KINDS):
        for data, again in zip(small_datasets((kind,)), small_datasets((kind,)), strict=True):
            assert data.kind == kind
            assert torch.equal(data.values, again.values)
            assert (len(data.values), data.inputs.shape[1:]) == (EXAMPLES, data.spec.inputs.shape)
            batch = data.batch(())
            assert (batch.labels, batch.captions, batch.paired) == (None, None, None)
            assert (batch.lengths is None) == (kind != "text")
            assert (data.batch(("paired",)).paired is None) == (kind == "text")


def test_texts_of_the_kit_have_padding_and_know_their_lengths() -> None:
    (texts,) = small_datasets(("text",))
    lengths = texts.batch(()).lengths
    assert lengths is not None
    assert torch.equal(lengths, lengths_of(texts.values))
    assert (int(lengths.min()), int(lengths.max())) == (1, 9)


def test_the_encoder_of_clips_sees_motion_and_that_of_texts_words() -> None:
    """Each gives another answer for what one frame, or the number of words, does not tell."""
    (clips,), (texts,) = small_datasets(("video",)), small_datasets(("text",))
    torch.manual_seed(0)
    for data, other in ((clips, clips.inputs.flip(1)), (texts, texts.inputs.roll(1, 0))):
        encoder = backbone_for(data.kind, registry()).build(data.spec, NoConfig()).eval()
        assert (encoder(data.inputs) - encoder(other)).abs().max() > 1e-3


# What breaks it. ------------------------------------------------------------------------------------------------------


class CountsPadding(Words):
    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.layer(self.vectors(tokens)).relu().mean(1)


class OfItsBatch(Motion):
    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        features = super().forward(clips)
        return features - features.mean(0)


class Frozen(Words):
    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return super().forward(tokens) + self.layer(torch.zeros(1, 32)).detach()


class Fixed(nn.Module):
    """A sum over places, so that another length does not fit."""

    def __init__(self, length: int, words: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(words, 4)
        self.layer = nn.Linear(4 * length, 32)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.layer(self.vectors(tokens).flatten(1))


def of_words(trunk: Callable[[Any], nn.Module], any_size: bool = True) -> Callable[..., Backbone]:
    return lambda data, config: Backbone(trunk(data), 32, data, any_size=any_size)


@pytest.mark.parametrize(
    ("kind", "trunk", "name", "message"),
    [
        ("text", lambda data: CountsPadding(len(data.inputs.vocabulary), 32), "takes_the_sizes_that_it_claims",
         "padding changes a text by"),
        ("text", lambda data: Fixed(data.inputs.length, len(data.inputs.vocabulary)), "takes_the_sizes_that_it_claims",
         "mat1 and mat2 shapes cannot be multiplied"),
        ("video", lambda data: OfItsBatch(1, 32), "answers_alike_in_any_batch", "the other images of its batch"),
        ("video", lambda data: nn.Flatten(), "encodes_to_its_dim", "returned (32, 320), expected (32, 32)"),
    ],
)  # fmt: skip
def test_a_backbone_that_breaks_the_contract_is_told_what(kind: str, trunk: Any, name: str, message: str) -> None:
    found = failed(check(BACKBONES[kind], ("backbone",), build=of_words(trunk)))
    assert any(key.startswith(name) and message in detail for key, detail in found.items()), found


def test_a_backbone_that_is_bound_to_the_length_of_its_source_may_be() -> None:
    fixed = of_words(lambda data: Fixed(data.inputs.length, len(data.inputs.vocabulary)), any_size=False)
    checks = check("words", ("backbone",), build=fixed)
    assert failed(checks) == {}
    said = [check.detail for check in checks if check.status == "skipped" and not check.absent]
    assert said == ["it is bound to the size of its source"]


class LooksAtLabels(HiddenWord):
    def loss(self, batch: Any) -> torch.Tensor:
        return super().loss(batch) * (1 if batch.labels is None else 2)


class Constant(HiddenWord):
    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.ones(len(tokens), 4)


@pytest.mark.parametrize(
    ("build", "name", "message"),
    [
        (LooksAtLabels, "sees_what_it_says_alone", "its loss changes when the batch carries labels"),
        (Constant, "encodes_images", "encode() gives every text the same representation"),
    ],
)
def test_a_method_of_texts_that_breaks_the_contract_is_told_what(build: Any, name: str, message: str) -> None:
    found = failed(check("hidden-word", METHOD_KINDS, build=build))
    assert message in found[f"{name} [texts of 9 tokens]"]


@pytest.mark.parametrize("takes", [(), ("sound",), "text", ("image", "texts")])
def test_unknown_kinds_are_named(takes: Any) -> None:
    found = failed(check("words", ("backbone",), takes=takes))
    assert f"its spec takes {takes!r}, expected some of image, video, text in a tuple" in found["takes_known_kinds"]


@pytest.mark.parametrize(
    "spec",
    [
        MethodSpec(name="m", kind="pretext", build=HiddenWord, takes=("text",), source="a test"),
        BackboneSpec(name="b", build=of_words(lambda data: Words(9, 32)), takes=("video", "text"), source="a test"),
        EvaluationSpec(
            name="e", run=lambda subject, config: {}, scores=(ScoreSpec(name="s", unit="nats", better="lower"),),
            takes=("image", "video"), source="a test",
        ),
    ],
    ids=lambda spec: type(spec).__name__,
)  # fmt: skip
def test_every_spec_says_what_it_takes(spec: Any) -> None:
    loaded = registry().load("words", ("backbone",))
    kind = {"MethodSpec": "pretext", "BackboneSpec": "backbone", "EvaluationSpec": "evaluation"}[type(spec).__name__]
    info = replace(loaded.info, name=spec.name, kind=kind)
    with one_thread():
        checks = check_plugin(LoadedPlugin(**(vars(loaded) | {"spec": spec, "info": info})), registry(), Path())
    said = next(check for check in checks if check.name == "takes_known_kinds")
    assert (said.status, said.detail) == ("ok", ", ".join(spec.takes))


# Datasets. ------------------------------------------------------------------------------------------------------------


def changed(kind: str, **changes: Any) -> dict[str, str]:
    """What the kit says of the example dataset, where it loads something else."""
    spec = registry().load(DATASETS[kind], ("dataset",)).spec
    return failed(
        check(DATASETS[kind], ("dataset",), load=lambda config, root: replace(spec.load(config, root), **changes))
    )  # fmt: skip


def test_a_dataset_that_loads_no_such_clips_or_texts_is_told_what() -> None:
    images = torch.zeros(400, 1, 12, 12, dtype=torch.uint8)
    found = changed("video", inputs=images)["inputs_are_as_described"]
    assert found == "clips are torch.uint8 (400, 1, 12, 12), expected torch.uint8 (N, 6, 1, 12, 12)"
    found = changed("text", inputs=torch.zeros(360, 9))["inputs_are_as_described"]
    assert found == "texts are no list of strings"
    found = changed("text", unlabelled=["a text", None])["inputs_are_as_described"]
    assert found == "unlabelled texts are strings but for 1, such as None"


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_clips_and_texts_are_checked(kind: str) -> None:
    labels = torch.arange(360 if kind == "text" else 400) % 10
    assert "run from 0 to 9" in changed(kind, labels=labels)["labels_are_in_range"]
    assert "labels returned (3,)" in changed(kind, labels=torch.zeros(3, dtype=torch.int64))["labels_are_in_range"]
