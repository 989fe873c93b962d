"""What does not take a kind of data is skipped in the plan, from declarations, with the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from toys import DATASETS, METHODS, cell, dataset, registry

from harness.applicability import reason_against, reason_against_judging
from harness.building import build_method
from harness.data.fields import PLURALS
from harness.data.rows import read_as
from harness.plugin.specs import EvaluationSpec
from harness.records import PluginRef
from harness.registry import METHOD_KINDS

HOLDS = {"image": "digits holds images", "video": "moving-squares holds clips", "text": "sentences holds texts"}


def read(kind: str):
    data = dataset(kind)
    return read_as(data, data.spec)


def chosen_dataset(name: str):
    return registry().chosen(PluginRef(name=name), ("dataset",))


@pytest.mark.parametrize("info", registry().infos("evaluation"), ids=lambda info: info.name)
@pytest.mark.parametrize("kind", ["video", "text"])
def test_an_evaluation_takes_the_kind_or_says_what_it_judges(info, kind: str) -> None:
    evaluation = registry().chosen(PluginRef(name=info.name), ("evaluation",))
    spec: EvaluationSpec = evaluation.spec
    data = replace(dataset(kind).spec, targets=("length",))
    reason = reason_against_judging(evaluation, data, chosen_dataset(DATASETS[kind]), data)
    judges = " or ".join(PLURALS[taken] for taken in spec.takes)
    assert reason == ("" if kind in spec.takes else f"{spec.name} judges {judges}, {HOLDS[kind]}")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("regression-probe", "digits has no regression targets"),
        ("dense-probe", "digits does not tell what each pixel shows"),
    ],
)
def test_what_a_target_does_not_tell_is_skipped_in_the_plan(name: str, reason: str) -> None:
    evaluation = registry().chosen(PluginRef(name=name), ("evaluation",))
    data = dataset("image").spec
    assert reason_against_judging(evaluation, data, chosen_dataset("digits"), data) == reason
    known = replace(data, targets=("x in pixels",), regions=("background", "a line"))
    assert reason_against_judging(evaluation, known, chosen_dataset("digits"), known) == ""


def test_judges_of_features_alone_take_every_kind() -> None:
    names = (
        "linear-probe",
        "knn",
        "clustering",
        "generalisation",
        "regression-probe",
        "representation",
        "pretext",
        "mlp-probe",
    )
    for name in names:
        assert registry().load(name, ("evaluation",)).spec.takes == ("image", "video", "text"), name


@pytest.mark.parametrize(
    ("kind", "method", "backbone", "reason"),
    [
        ("text", "rotation", "words", "rotation takes images, sentences holds texts"),
        ("video", "vae", "motion", "vae takes images, moving-squares holds clips"),
        ("video", "hidden-word", "words", "hidden-word takes texts, moving-squares holds clips"),
        ("image", "order", "convnet", "order takes clips, digits holds images"),
        ("text", "supervised", "convnet", "convnet takes images, sentences holds texts"),
        ("image", "random-init", "words", "words takes texts, digits holds images"),
        ("text", "pixels", "", "pixels takes images or clips, sentences holds texts"),
    ],
)
def test_a_method_and_a_backbone_say_what_they_take(kind: str, method: str, backbone: str, reason: str) -> None:
    learner = registry().chosen(PluginRef(name=method), METHOD_KINDS)
    encoder = registry().chosen(PluginRef(name=backbone), ("backbone",)) if backbone else None
    assert reason_against(learner, encoder, chosen_dataset(DATASETS[kind]), dataset(kind).spec) == reason


@pytest.mark.parametrize("kind", ["image", "video", "text"])
def test_what_takes_the_kind_is_built(kind: str) -> None:
    for method in (METHODS[kind], "random-init", "supervised"):
        built = build_method(registry(), cell(kind, method), read(kind).spec)
        assert callable(built.encode)


@pytest.mark.parametrize(
    ("kind", "target", "reason"),
    [
        ("text", "image", "digits holds images, the method has learned from texts"),
        ("video", "image", "digits holds images, the method has learned from clips"),
        ("image", "text", "sentences holds texts, the method has learned from images"),
    ],
)
def test_a_target_of_another_kind_is_skipped_with_the_reason(kind: str, target: str, reason: str) -> None:
    judge = registry().chosen(PluginRef(name="knn"), ("evaluation",))
    target_data = dataset(target).spec
    assert reason_against_judging(judge, dataset(kind).spec, chosen_dataset(DATASETS[target]), target_data) == reason


def test_every_example_is_of_its_kind() -> None:
    assert {kind: read(kind).spec.kind for kind in DATASETS} == {kind: kind for kind in DATASETS}
