"""Translation of silhouettes: perfect, lazy and broken translators, with figures that are known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from example_scenes import scenes, silhouettes
from example_subject import example_subject
from torch import Tensor, nn
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from harness.data.columns import Column, Files, all_values
from harness.data.images import to_float, to_uint8
from harness.data.rows import Dataset
from harness.errors import NotApplicable, TrainingFailed
from harness_plugins.evaluations import translation

CONFIG = translation.Config(shown=5)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return scenes()


class Translator(nn.Module):
    def __init__(self, translate: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.translate = translate
        if back is not None:
            self.translate_back = back

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def red(paired: Tensor) -> Tensor:
    """What can be made of a silhouette without its colour: a dim red one."""
    return paired * torch.tensor([120 / 255, 0.0, 0.0]).view(1, 3, 1, 1)


def outlined(images: Tensor) -> Tensor:
    return to_float(silhouettes(to_uint8(images)))


def lookup(data: Dataset) -> Callable[[Tensor], Tensor]:
    """The true images in the order of the test split, whatever comes: only good for one whole split."""
    return lambda paired: to_float(data.test.values)[: len(paired)]


def test_the_truth_is_perfect(data: Dataset, tmp_path: Path) -> None:
    subject = example_subject(Translator(lookup(data)), data, tmp_path)
    scores = translation.run(subject, CONFIG)
    assert (scores["psnr"].value, scores["l1"].value, scores["mse"].value) == (100.0, 0.0, 0.0)
    assert scores["ssim"].value == pytest.approx(1.0)
    assert scores["factors_right"].value == 1.0
    assert "cycle_l1" not in scores


def test_copying_the_input_gives_what_stands_beside_the_score(data: Dataset, tmp_path: Path) -> None:
    scores = translation.run(example_subject(Translator(lambda images: images), data, tmp_path), CONFIG)
    assert scores["psnr"].value == pytest.approx(scores["copy_psnr"].value)
    assert scores["mean_psnr"].value > scores["copy_psnr"].value
    assert data.test.paired is not None
    one, two = data.test.values.double() / 255, data.test.paired.values.double() / 255
    assert scores["l1"].value == pytest.approx(float((one - two).abs().mean()))
    assert f"the input itself {scores['l1'].value:.3g}" in scores["l1"].note
    theirs = peak_signal_noise_ratio(two, one, data_range=1.0, dim=(1, 2, 3), reduction="elementwise_mean")
    assert scores["psnr"].value == pytest.approx(float(theirs), abs=1e-5)
    flat = data.train.values.double().mean(0) / 255
    theirs = peak_signal_noise_ratio(
        flat.expand_as(one), one, data_range=1.0, dim=(1, 2, 3), reduction="elementwise_mean"
    )
    assert scores["mean_psnr"].value == pytest.approx(float(theirs), abs=1e-4)


def test_ssim_agrees_with_torchmetrics_on_larger_images() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(256, (520, 1, 14, 14), generator=generator, dtype=torch.uint8)  # more than one part
    made = (to_float(truth) + 0.1 * torch.randn(truth.shape, generator=generator)).clamp(0, 1)
    found = translation.similarity(truth, made)
    _, whole = structural_similarity_index_measure(
        made.double(), to_float(truth).double(), data_range=1.0, return_full_image=True
    )
    assert found["ssim"] == pytest.approx(float(whole[..., 5:-5, 5:-5].mean()), abs=1e-5)


def test_factors_tell_what_a_silhouette_cannot(data: Dataset, tmp_path: Path) -> None:
    scores = translation.run(example_subject(Translator(red), data, tmp_path), CONFIG)
    factors = data.test.factors
    assert factors is not None
    expected = float(((factors[:, 0] == 0) & (factors[:, 2] == 0)).double().mean())
    assert scores["factors_right"].value == pytest.approx(expected)
    assert "corner 1.000" in scores["factors_right"].note
    assert "unreadable 0.000" in scores["factors_right"].note


def test_there_and_back(data: Dataset, tmp_path: Path) -> None:
    subject = example_subject(Translator(red, outlined), data, tmp_path)
    scores = translation.run(subject, CONFIG)
    assert scores["back_psnr"].value == 100.0
    assert scores["cycle_l1"].value == pytest.approx(scores["l1"].value, rel=1e-5)  # the cycle ends where red() does
    (picture,) = subject.pictures
    assert picture.row_names == ("silhouette", "image made", "true image", "silhouette made")
    assert picture.columns == 5


def test_where_nothing_can_be_translated(data: Dataset, tmp_path: Path) -> None:
    subject = example_subject(Translator(red), data, tmp_path)
    subject.target = replace(data, spec=replace(data.spec, paired_domain="sketch"))
    with pytest.raises(NotApplicable, match="the paired images of scenes are sketch, not silhouette"):
        translation.run(subject, CONFIG)
    subject.target = replace(data, test=replace(data.test, paired=None))
    with pytest.raises(NotApplicable, match="scenes has no paired images to translate"):
        translation.run(subject, CONFIG)


def test_what_is_no_image_is_a_failure(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"translate\(\) gave \(\d+, 192\), expected \(\d+, 3, 8, 8\)"):
        translation.run(example_subject(Translator(lambda images: images.flatten(1)), data, tmp_path), CONFIG)
    with pytest.raises(TrainingFailed, match=r"translate_back\(\) gave values that are not finite"):
        translation.run(example_subject(Translator(red, lambda images: images / 0), data, tmp_path), CONFIG)
    with pytest.raises(ValueError, match="at least 1"):
        translation.Config(shown=0)


def in_files(column: Column) -> Files:
    values = all_values(column)
    names = tuple(Path(str(row)) for row in range(len(values)))
    return Files(names, lambda paths: values[[int(path.name) for path in paths]])


def test_pairs_in_files_are_drawn_where_they_are_many(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data.test.paired is not None
    test = replace(data.test, inputs=in_files(data.test.inputs), paired=in_files(data.test.paired))
    train = replace(data.train, inputs=in_files(data.train.inputs))
    streamed = replace(data, test=test, train=train)
    kept, read = (
        translation.run(example_subject(Translator(red, outlined), each, tmp_path), CONFIG) for each in (data, streamed)
    )
    assert {name: score.value for name, score in read.items()} == pytest.approx(
        {name: score.value for name, score in kept.items()}, rel=1e-6
    )
    monkeypatch.setattr(translation, "STREAMED", 10)
    few = translation.run(example_subject(Translator(red, outlined), streamed, tmp_path), CONFIG)
    assert {score.n for score in few.values()} == {10}
    assert few["psnr"].note.endswith(f"; 10 of {len(test)} pairs")
    assert {score.n for score in kept.values()} == {len(test)}
