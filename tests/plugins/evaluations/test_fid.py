"""Distances of samples from test images: generators are ranked, floors stand beside, pictures are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from example_subject import LinearCode, digits_dataset, example_subject
from PIL import Image

from harness.data.rows import Dataset
from harness.errors import NotApplicable, TrainingFailed
from harness_plugins.evaluations import fid


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits_dataset()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all tests, so that the extractor of the digits is trained once."""
    return tmp_path_factory.getbasetemp() / "digits"


class Replay(LinearCode):
    """Gives real images as its samples: as good as a generator can be."""

    def __init__(self, images: torch.Tensor) -> None:
        super().__init__(images, dim=2)
        self.images = images.float() / 255

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        return self.images[torch.randperm(len(self.images), generator=generator)[:n]]


def test_evaluation_ranks_generators_and_names_its_extractor(data: Dataset, folder: Path) -> None:
    config = fid.Config()
    real = fid.run(example_subject(Replay(data.train.values), data, folder), config)
    good = fid.run(example_subject(LinearCode(data.train.values, 30), data, folder), config)
    poor = fid.run(example_subject(LinearCode(data.train.values, 2), data, folder), config)
    assert set(good) == {score.name for score in fid.harness_evaluation().scores}
    for name in good:
        if name.endswith("_distance"):
            assert real[name].value < good[name].value < poor[name].value
    assert real["frechet_distance"].value < 2 * real["frechet_floor"].value < 0.5 * good["frechet_distance"].value
    assert abs(real["kernel_distance"].value) < 0.1 * good["kernel_distance"].value
    assert real["sliced_wasserstein_distance"].value < 2 * real["sliced_wasserstein_floor"].value
    assert real["debiased_frechet_distance"].value < real["frechet_distance"].value / 2  # most of it is bias
    for name in good:
        if name.endswith("_floor"):
            assert good[name] == poor[name]
    assert {score.n for score in good.values()} == {len(data.test)}
    note = good["frechet_distance"].note
    assert note.startswith("in-domain classifier ")
    assert "64 features" in note
    assert note.endswith(f"floor {good['frechet_floor'].value:.3g} at n={len(data.test)}")


def test_evaluation_is_deterministic_and_shows_samples(data: Dataset, folder: Path) -> None:
    method = LinearCode(data.train.values, 10)
    subject = example_subject(method, data, folder)
    first = fid.run(subject, fid.Config(n=100))
    torch.rand(3)  # the global generator is no matter
    assert fid.run(example_subject(method, data, folder), fid.Config(n=100)) == first
    assert {score.n for score in first.values()} == {100}
    other_seed = fid.run(example_subject(method, data, folder, seed=1), fid.Config(n=100))
    assert other_seed["frechet_distance"].value != first["frechet_distance"].value
    assert [picture.name for picture in subject.pictures] == ["samples", "real"]
    with Image.open(subject.pictures[0].file) as picture:
        assert picture.size == (8 * 9 - 1, 8 * 9 - 1)


def test_too_few_images_have_no_debiased_distance(data: Dataset, folder: Path) -> None:
    method = LinearCode(data.train.values, 10)
    few = fid.run(example_subject(method, data, folder), fid.Config(n=71))  # 64 features, and 63.9 images at 0.9 n
    enough = fid.run(example_subject(method, data, folder), fid.Config(n=72))
    assert set(enough) - set(few) == {"debiased_frechet_distance", "debiased_frechet_floor"}


class Noising(LinearCode):
    """A straight line between images and noise, as in flow matching."""

    def forward_process(self, images: torch.Tensor, steps: int, generator: torch.Generator) -> torch.Tensor:
        noise = torch.rand(images.shape, generator=generator)
        share = torch.linspace(0, 1, steps).view(1, -1, 1, 1, 1)
        return torch.lerp(images[:, None], noise[:, None], share)  # (B,P,C,H,W)

    def reverse_process(self, n: int, steps: int, generator: torch.Generator) -> torch.Tensor:
        return self.forward_process(self.sample(n, generator), steps, generator).flip(1)


def test_processes_are_shown_from_end_to_end(data: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = Noising(data.train.values, 10)
    subject = example_subject(method, data, folder)
    fid.run(subject, fid.Config(n=100))
    names = [picture.name for picture in subject.pictures]
    assert names == ["samples", "real", "forward_process", "reverse_process"]
    with Image.open(subject.pictures[2].file) as picture:
        assert picture.size == (9 * 9 - 1, 8 * 9 - 1)  # nine steps, eight rows
        first = torch.from_numpy(np.array(picture))[:8, :8]
    assert (first == data.test.values[:, 0]).flatten(1).all(1).any()  # a row starts with a test image
    monkeypatch.setattr(method, "reverse_process", lambda n, steps, generator: torch.zeros(n, 2, 1, 8, 8))
    subject.begin(folder / "short")
    with pytest.raises(TrainingFailed, match=r"reverse_process\(\) gave \(8, 2, 1, 8, 8\), expected \(8, 9, 1, 8, 8\)"):
        fid.run(subject, fid.Config(n=100))
    monkeypatch.setattr(method, "forward_process", lambda images, *_: torch.full((8, 9, 1, 8, 8), torch.nan))
    subject.begin(folder / "infinite")
    with pytest.raises(TrainingFailed, match=r"forward_process\(\) gave values that are not finite"):
        fid.run(subject, fid.Config(n=100))


def unlabelled(data: Dataset) -> Dataset:
    parts = {name: replace(data.split(name), labels=None) for name in ("train", "validation", "test")}  # type: ignore[arg-type]
    return replace(data, spec=replace(data.spec, classes=()), **parts)


def test_images_without_labels_are_judged_by_an_encoder_of_their_own(data: Dataset, folder: Path) -> None:
    bare, config = unlabelled(data), fid.Config()
    real = fid.run(example_subject(Replay(data.train.values), bare, folder), config)
    good = fid.run(example_subject(LinearCode(data.train.values, 30), bare, folder), config)
    poor = fid.run(example_subject(LinearCode(data.train.values, 2), bare, folder), config)
    for name in ("frechet_distance", "debiased_frechet_distance", "sliced_wasserstein_distance", "kernel_distance"):
        assert real[name].value < good[name].value < poor[name].value
    assert real["frechet_distance"].value < 2 * real["frechet_floor"].value < good["frechet_distance"].value
    note = good["frechet_distance"].note
    assert note.startswith("label-free encoder ")
    assert note.split(",")[0] == poor["frechet_distance"].note.split(",")[0]
    asked = fid.run(
        example_subject(LinearCode(data.train.values, 30), data, folder), fid.Config(extractor="label-free")
    )
    assert asked["frechet_distance"] == good["frechet_distance"]  # labels or not, it is the same encoder
    labelled = fid.run(example_subject(LinearCode(data.train.values, 30), data, folder), config)
    assert labelled["frechet_distance"].note.split(",")[0] != note.split(",")[0]


def test_what_cannot_be_judged_says_why(
    data: Dataset, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = LinearCode(data.train.values, 4)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(NotApplicable, match=r"no Inception weights: put weights-inception.* or choose fid"):
        fid.run(example_subject(method, data, folder), fid.Config(extractor="inception"))
    with pytest.raises(ValueError, match="n must be at least 2"):
        fid.Config(n=1)


def test_unusable_samples_are_failures(data: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = LinearCode(data.train.values, 4)
    subject = example_subject(method, data, folder)
    monkeypatch.setattr(method, "sample", lambda n, generator: torch.zeros(n, 3, 8, 8))
    with pytest.raises(TrainingFailed, match=r"sample\(\) gave \(256, 3, 8, 8\), expected \(256, 1, 8, 8\)"):
        fid.run(subject, fid.Config(n=100))
    monkeypatch.setattr(method, "sample", lambda n, generator: torch.full((n, 1, 8, 8), float("nan")))
    with pytest.raises(TrainingFailed, match="not finite"):
        fid.run(subject, fid.Config(n=100))
