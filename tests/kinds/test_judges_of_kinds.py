"""Judges of features alone on clips and on texts, each on a method that was trained a little."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys import METHODS, registry, subject, trained

from harness.data.batches import lengths_of
from harness.data.rows import Dataset
from harness.errors import TrainingFailed
from harness.judging.diagnosis import check_training
from harness.judging.subject import Subject
from harness.labels import Labels
from harness.records import ScoreValue
from harness_plugins.evaluations import representation

KINDS = ["video", "text"]


@pytest.fixture(scope="module", params=KINDS)
def judged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    kind = request.param
    method, data, _ = trained(kind, METHODS[kind], 60)
    return subject(method, data, tmp_path_factory.mktemp("judged"), kind)


def scores(name: str, of: Subject, **params: object) -> Mapping[str, float]:
    spec = registry().load(name, ("evaluation",)).spec
    found = spec.run(of, spec.config(**params))
    return {key: value.value if isinstance(value, ScoreValue) else value for key, value in found.items()}


@pytest.mark.parametrize("name", ["linear-probe", "knn", "clustering", "mlp-probe"])
def test_classes_are_read_from_the_features(name: str, judged: Subject) -> None:
    chance = 1 / len(judged.target.spec.classes)
    assert chance + 0.05 < scores(name, judged)["accuracy"] <= 1


def test_generalisation_judges_the_predictions_of_a_classifier(judged: Subject, tmp_path: Path) -> None:
    kind = judged.spec.kind
    method, data, _ = trained(kind, "supervised", 60, ("labels",))
    found = scores("generalisation", subject(method, data, tmp_path, kind, "supervised"))
    assert found["test_accuracy"] > 0.8
    assert found["accuracy_gap"] == found["train_accuracy"] - found["test_accuracy"]


def test_judges_on_request_take_clips_and_texts(judged: Subject) -> None:
    kind = judged.spec.kind
    found = scores("retrieval", judged)
    assert 1 / len(judged.target.spec.classes) < found["map"] <= 1
    assert 0 <= scores("calibration", judged, penalties=2)["ece"] < 0.5
    alike = scores("similarity", replaced_untrained(judged))
    assert ("cka_to_inputs" in alike) == (kind == "video")
    assert alike["cka_to_untrained"] == pytest.approx(1)
    if kind == "video":
        found = scores("robustness", judged, penalties=2)
        assert found["accuracy"] <= found["clean"] + 0.05
        assert judged.pictures[-1].name == "corruptions"


def replaced_untrained(of: Subject) -> Subject:
    """The subject with a method that training has not moved."""
    of._untrained = lambda: of.method
    return of


def with_targets(data: Dataset, kind: str) -> Dataset:
    """Numbers that are known of each example: the brightness of a clip, the words of a text."""

    def known(rows):
        values = rows.values
        numbers = lengths_of(values) if kind == "text" else values.float().flatten(1).mean(1)
        return replace(rows, targets=numbers.float()[:, None])

    spec = replace(data.spec, targets=("number",))
    return replace(
        data, spec=spec, train=known(data.train), validation=known(data.validation), test=known(data.test)
    )  # fmt: skip


def test_numbers_are_read_from_the_features(judged: Subject, tmp_path: Path) -> None:
    kind = judged.spec.kind
    of = subject(judged.method, with_targets(judged.target, kind), tmp_path, kind)
    found = scores("regression-probe", of, steps=50)
    assert 0.1 < found["r2_linear"] <= 1
    assert found["r2_mlp"] <= 1
    few = scores("regression-probe", of.with_labels(Labels.parse("30%")), steps=50)
    assert 0 < few["r2_linear"] < found["r2_linear"]


def test_the_geometry_of_the_features_has_an_alignment_where_an_example_can_move(judged: Subject) -> None:
    found = scores("representation", judged, map_points=20)
    assert ("alignment" in found) == (judged.spec.kind == "video")
    assert {"rankme", "uniformity", "spread", "collapsed", "dimension"} < set(found)
    assert found["collapsed"] == 0
    (picture,) = judged.pictures[-1:]
    things = {"video": "clips", "text": "texts"}[judged.spec.kind]
    assert f"features of 20 test {things}" in picture.caption


def test_a_changed_clip_moves_as_a_whole_with_little_noise() -> None:
    clips = torch.zeros(8, 3, 1, 16, 16, dtype=torch.uint8)
    clips[..., 8, 8] = 255
    views = representation.changed(clips, torch.Generator().manual_seed(0))
    places = views.flatten(3).squeeze(2).argmax(-1)  # (N,T)
    assert (places == places[:, :1]).all()
    assert len(places[:, 0].unique()) > 1


def test_the_pretext_task_is_posed_on_the_test_split(judged: Subject) -> None:
    spec = registry().load("pretext", ("evaluation",)).spec
    found = spec.run(judged, spec.config())["accuracy"]
    assert found.n == len(judged.target.test)
    if judged.spec.kind == "video":  # either order is as likely, but some words are commoner than others
        assert found.chance == 1 / 2
        assert found.value > 1.2 * found.chance
    else:
        assert 2 / len(judged.spec.inputs.vocabulary) < found.chance <= found.value


def test_features_are_the_same_in_any_batch(judged: Subject) -> None:
    values = judged.target.test.values
    whole = judged.batched(judged.encode, values)
    parts = torch.cat([judged.batched(judged.encode, part) for part in values.split(7)])
    torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-4)


def test_pictures_of_clips_are_their_frames_and_texts_have_none(judged: Subject, tmp_path: Path) -> None:
    from PIL import Image

    judged.begin(tmp_path)
    judged.show_images("some", judged.spec.inputs.ready(judged.target.test.values[:6]), 2, "Six examples")
    if judged.spec.kind == "text":
        assert judged.pictures == []
        return
    (picture,) = judged.pictures
    frames, _, size, _ = judged.spec.inputs.shape
    with Image.open(picture.file) as image:
        assert image.size == (2 * frames * size + 1, 3 * size + 2)  # a gap between all


def test_the_frames_of_a_clip_stand_from_left_to_right(tmp_path: Path, judged: Subject) -> None:
    from PIL import Image

    clip = torch.stack([torch.full((1, 4, 4), level) for level in (0.0, 0.4, 0.8)])[None]  # (1,T,C,H,W)
    judged.begin(tmp_path)
    judged.show_images("clip", clip, 1, "One clip")
    with Image.open(judged.pictures[0].file) as image:
        pixels = torch.tensor(list(image.tobytes())).view(4, 12)
    assert pixels[0].tolist() == [0] * 4 + [102] * 4 + [204] * 4


# Trainings that gave nothing. -----------------------------------------------------------------------------------------


class Sampler(torch.nn.Module):
    """Samples like the data, or all alike; and tells that it failed, if asked to."""

    def __init__(self, data: Dataset, alike: bool, reason: str = "") -> None:
        super().__init__()
        self.data, self.alike, self.reason = data, alike, reason

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        rows = torch.zeros(n, dtype=torch.int64) if self.alike else torch.arange(n)
        return self.data.spec.inputs.ready(self.data.train.inputs.take(rows))

    def diagnose(self, inputs: torch.Tensor) -> str:
        assert inputs.shape[1:] == self.data.spec.inputs.shape
        return self.reason


def test_a_training_of_any_kind_is_looked_at(judged: Subject) -> None:
    data, things = judged.source, {"video": "clips", "text": "texts"}[judged.spec.kind]
    look = {"steps": 500, "seed": 0, "device": "cpu"}
    check_training(Sampler(data, alike=False), data, **look)
    with pytest.raises(TrainingFailed, match=f"between samples is 0 of that between {things}"):
        check_training(Sampler(data, alike=True), data, **look)
    with pytest.raises(TrainingFailed, match="a collapsed posterior"):
        check_training(Sampler(data, alike=False, reason="a collapsed posterior"), data, **look)


def test_one_representation_for_all_is_a_collapse_of_that_kind(judged: Subject, tmp_path: Path) -> None:
    class Constant(torch.nn.Module):
        def encode(self, inputs: torch.Tensor) -> torch.Tensor:
            return torch.ones(len(inputs), 4)

    thing = {"video": "clip", "text": "text"}[judged.spec.kind]
    with pytest.raises(TrainingFailed, match=f"collapsed: every {thing} has the same representation"):
        subject(Constant(), judged.target, tmp_path, judged.spec.kind).features("test")
