"""What does not take a kind of data is skipped in the cell itself, with the reason that a plan gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from toys import DATASETS, METHODS, cell, dataset, registry, subject

from harness.building import build_method
from harness.data.rows import read_as
from harness.errors import NotApplicable
from harness.judge import judge, missing_need
from harness.outcomes import cannot_take
from harness.plugin.specs import EvaluationSpec
from harness.records import CellTask, EvaluationTask, PluginRef

HOLDS = {"image": "digits holds images", "video": "moving-squares holds clips", "text": "sentences holds texts"}


def read(kind: str):
    data = dataset(kind)
    return read_as(data, data.spec)


def random_features(kind: str, folder: Path):
    data = read(kind)
    return subject(build_method(registry(), cell(kind, "random-init"), data.spec), data, folder, kind, "random-init")


@pytest.mark.parametrize("info", registry().infos("evaluation"), ids=lambda info: info.name)
@pytest.mark.parametrize("kind", ["video", "text"])
def test_an_evaluation_takes_the_kind_or_says_what_it_judges(info, kind: str, tmp_path: Path) -> None:
    spec: EvaluationSpec = registry().load(info.name, ("evaluation",)).spec
    reason = missing_need(spec, random_features(kind, tmp_path))
    if kind in spec.takes:
        assert "judges" not in reason
    else:
        assert reason == f"{spec.name} judges images, {HOLDS[kind]}"


def test_judges_of_features_alone_take_every_kind() -> None:
    names = ("linear-probe", "knn", "clustering", "generalisation", "regression-probe", "representation", "pretext")
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
        ("video", "pixels", "", "pixels takes images, moving-squares holds clips"),
    ],
)
def test_a_method_and_a_backbone_say_what_they_take(kind: str, method: str, backbone: str, reason: str) -> None:
    with pytest.raises(NotApplicable) as raised:
        build_method(registry(), cell(kind, method, backbone=backbone), read(kind).spec)
    assert str(raised.value) == reason


@pytest.mark.parametrize("kind", ["image", "video", "text"])
def test_what_takes_the_kind_is_built(kind: str) -> None:
    for method in (METHODS[kind], "random-init", "supervised"):
        built = build_method(registry(), cell(kind, method), read(kind).spec)
        assert callable(built.encode)


@pytest.mark.parametrize(
    ("kind", "target", "reason"),
    [
        ("text", "digits", "random-init was trained on texts, digits holds images"),
        ("video", "digits", "random-init was trained on clips, digits holds images"),
        ("image", "sentences", "random-init was trained on images, sentences holds texts"),
        ("video", "sentences", "random-init was trained on clips, sentences holds texts"),
    ],
)
def test_a_target_of_another_kind_is_skipped_with_the_reason(
    kind: str, target: str, reason: str, tmp_path: Path
) -> None:
    source = read(kind)
    asked = replace(cell(kind, "random-init"), targets=(PluginRef(name=target),))
    todo = (EvaluationTask(target=PluginRef(name=target), evaluation=PluginRef(name="knn"), key="k"),)
    task = CellTask(
        key="", cell=asked, identity={}, provenance={}, todo=todo, data_root=str(tmp_path), staging=str(tmp_path),
        plugin_files=(), cache=str(tmp_path), fingerprints={},
    )  # fmt: skip
    method = build_method(registry(), asked, source.spec)
    (row,) = judge(task, registry(), method, source, lambda *_: None)
    assert (row.status, row.reason) == ("skipped", reason)


def test_one_function_words_all_reasons() -> None:
    assert cannot_take("fid", "judges", ("image",), "docstrings", "text") == "fid judges images, docstrings holds texts"
    assert cannot_take("pace", "takes", ("image", "video"), "docstrings", "text") == (
        "pace takes images and clips, docstrings holds texts"
    )
    assert cannot_take("knn", "judges", ("text",), "docstrings", "text") == ""


def test_every_example_is_of_its_kind() -> None:
    assert {kind: read(kind).spec.kind for kind in DATASETS} == {kind: kind for kind in DATASETS}
