"""Conditional sampling judged on scenes whose truth is known: right, wrong in one way, blank, and by classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import log
from pathlib import Path

import pytest
import torch
from example_scenes import COLOURS, HELD_OUT, Draughtsman, scenes
from example_subject import example_subject
from PIL import Image

from harness.data.rows import Dataset
from harness.errors import NotApplicable
from harness.judging import in_domain
from harness_plugins.evaluations import condition

CONFIG = condition.Config(n=240, shown=6)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return scenes()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder for all, so that the classifier is trained once, and briefly: scenes are easy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_domain, "FEWEST", 4000)
        patch.setattr(in_domain, "MOST", 4000)
        yield tmp_path_factory.mktemp("condition")


def never_blue(factors: torch.Tensor) -> torch.Tensor:
    return factors.clamp(max=torch.tensor([1, 3, 1]))


def test_captions_that_are_drawn_as_told_are_satisfied(data: Dataset, tmp_path: Path) -> None:
    subject = example_subject(Draughtsman("captions", words=data.spec.captions), data, tmp_path)
    scores = condition.run(subject, CONFIG)
    for name in ("satisfied", "attributes", "worst_attribute", "ceiling"):
        assert scores[name].value == 1.0
        assert name == "ceiling" or scores[f"unseen_{name}"].value == 1.0
    assert scores["unreadable"].value == scores["unseen_unreadable"].value == 0.0
    assert scores["satisfied"].chance == pytest.approx(1 / 12)  # the shade is in no caption
    assert scores["attributes"].chance == pytest.approx((1 / 3 + 1 / 4) / 2)
    assert scores["satisfied"].n == len(data.test)
    assert data.unseen is not None
    assert scores["unseen_satisfied"].n == len(data.unseen)
    assert scores["satisfied"].note == "colour 1.000, corner 1.000"


def test_what_is_wrong_counts_as_often_as_it_was_asked_for(data: Dataset, tmp_path: Path) -> None:
    method = Draughtsman("captions", never_blue, data.spec.captions)
    scores = condition.run(example_subject(method, data, tmp_path), CONFIG)
    assert data.test.factors is not None
    blue = float((data.test.factors[:, 0] == 2).double().mean())
    assert scores["satisfied"].value == pytest.approx(1 - blue)
    assert scores["attributes"].value == pytest.approx(1 - blue / 2)
    assert scores["worst_attribute"].value == pytest.approx(1 - blue)
    assert scores["worst_attribute"].note == "colour"
    assert scores["unseen_satisfied"].value == 0.0  # all of the held-out combination is blue
    assert scores["unseen_attributes"].value == 0.5


def test_pictures_say_what_was_asked_and_what_came(data: Dataset, tmp_path: Path) -> None:
    method = Draughtsman("captions", never_blue, data.spec.captions)
    subject = example_subject(method, data, tmp_path)
    condition.run(subject, CONFIG)
    seen, unseen = subject.pictures
    assert (seen.name, unseen.name) == ("captions", "captions_unseen")
    assert len(seen.texts) == seen.columns == 6
    for text in seen.texts:
        asked, verdict = text.split("\n")
        assert verdict == ("✗ green" if "blue" in asked else "✓")
    assert COLOURS[HELD_OUT[0]] == "blue"
    assert set(unseen.texts) == {"a blue quadrant bottom right\n✗ green"}


class Blank(Draughtsman):
    def sample_as(self, condition: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return torch.zeros(len(condition), 3, 8, 8)


def test_blank_samples_are_unreadable_and_wrong(data: Dataset, tmp_path: Path) -> None:
    subject = example_subject(Blank("captions"), data, tmp_path)
    scores = condition.run(subject, CONFIG)
    assert scores["unreadable"].value == 1.0
    assert scores["satisfied"].value == scores["attributes"].value == 0.0
    assert subject.pictures[0].texts[0].endswith("\n✗ unreadable")


def test_labels_are_judged_by_the_classifier(data: Dataset, kept: Path) -> None:
    subject = example_subject(Draughtsman("labels"), data, kept)
    scores = condition.run(subject, CONFIG)
    assert scores["satisfied"].value > 0.98
    assert scores["satisfied"].n == 240
    assert scores["satisfied"].chance == pytest.approx(1 / 3)
    assert scores["class_entropy"].value == pytest.approx(log(3), abs=1e-3)
    assert scores["ceiling"].value > 0.98
    assert "in-domain classifier" in scores["satisfied"].note
    (picture,) = subject.pictures
    assert (picture.name, picture.row_names) == ("samples_by_condition", COLOURS)
    with Image.open(picture.file) as image:
        assert image.size == (12 * 9 - 1, 3 * 9 - 1)


def test_one_class_that_is_never_drawn_is_the_worst_one(data: Dataset, kept: Path) -> None:
    scores = condition.run(example_subject(Draughtsman("labels", never_blue), data, kept), CONFIG)
    assert scores["satisfied"].value == pytest.approx(2 / 3, abs=0.02)
    assert scores["worst_class"].value < 0.05
    assert scores["worst_class"].note == "class blue"
    assert scores["worst_class"].n == 80
    expected = -(1 / 3 * log(1 / 3) + 2 / 3 * log(2 / 3))  # green twice as often as red
    assert scores["class_entropy"].value == pytest.approx(expected, abs=0.05)


def test_captions_without_a_reader_are_judged_by_class(data: Dataset, kept: Path, tmp_path: Path) -> None:
    method = Draughtsman("captions", never_blue, data.spec.captions)
    blind = replace(data, read_factors=None)
    scores = condition.run(example_subject(method, blind, kept), CONFIG)
    assert scores["worst_class"].note == "class blue"
    assert "unseen_satisfied" not in scores
    unlabelled = replace(blind, test=replace(data.test, labels=None))
    with pytest.raises(
        NotApplicable,
        match=r"scenes has neither labels nor readable factors .*: caption-retrieval needs",
    ):
        condition.run(example_subject(method, unlabelled, tmp_path), CONFIG)


def test_nothing_is_asked_of_another_dataset(data: Dataset, tmp_path: Path) -> None:
    subject = example_subject(Draughtsman("labels"), data, tmp_path)
    subject.target = replace(data, name="digits")
    with pytest.raises(NotApplicable, match="example can be asked for what is in scenes, not digits"):
        condition.run(subject, CONFIG)


def test_the_same_samples_come_again(data: Dataset, tmp_path: Path) -> None:
    def pixels() -> bytes:
        subject = example_subject(Draughtsman("captions", words=data.spec.captions), data, tmp_path)
        condition.run(subject, CONFIG)
        return Path(subject.pictures[0].file).read_bytes()

    assert pixels() == pixels()


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        condition.Config(n=0)
