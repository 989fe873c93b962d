"""Scores of drawn futures: a method that tosses a coin for each clip, against numpy and scikit-image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from example_subject import example_subject
from PIL import Image
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from harness.contract.examples import generated_clips
from harness.data.fields import DataSpec, VideoField
from harness.data.rows import RawData
from harness.data.splits import split_dataset
from harness.errors import TrainingFailed
from harness.judging.futures import ANSWERS, KINDS
from harness_plugins.evaluations import prediction

PAST, FAR, SIZE = 4, 2, 16
NAMES = {f"{kind}_{answer}" for kind in KINDS for answer in ANSWERS}


class Tosses(nn.Module):
    """Pictures roll to the left or to the right, each as likely; the one answer is their mean."""

    def encode(self, clips: Tensor) -> Tensor:
        return clips.flatten(1)

    @staticmethod
    def rolled(past: Tensor, steps: int, way: int) -> Tensor:
        return torch.stack([past[:, -1].roll(way * step, 3) for step in range(1, steps + 1)], 1)

    def forecast(self, past: Tensor, steps: int) -> Tensor:
        return (self.rolled(past, steps, 1) + self.rolled(past, steps, -1)) / 2

    def sample_future(self, past: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        right = torch.rand(len(past), generator=generator) < 0.5
        ways = [self.rolled(past, steps, way) for way in (1, -1)]
        return torch.where(right[:, None, None, None, None], *ways)


class Knows(Tosses):
    """Draws the same future again and again."""

    def sample_future(self, past: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        return self.forecast(past, steps)


def judged(method: nn.Module, folder: Path, **params):
    """On clips of which half roll to the right, and half to the left, from frame PAST on."""
    picture = generated_clips(channels=1, size=SIZE, classes=4, n=60).values[:, 0]
    right = torch.arange(60) % 2 == 0
    frames = [picture] * PAST
    for step in range(1, FAR + 1):
        frames.append(torch.where(right[:, None, None, None], picture.roll(step, 3), picture.roll(-step, 3)))
    spec = DataSpec(inputs=VideoField(frames=PAST + FAR, channels=1, size=SIZE))
    data = split_dataset("tossed", RawData(inputs=torch.stack(frames, 1)), spec, 0)
    subject = example_subject(method, data, folder)
    return prediction.run(subject, prediction.Config(past=PAST, **params)), subject


def test_of_ten_tosses_one_is_what_came_and_their_mean_is_a_blur(tmp_path: Path) -> None:
    found, _ = judged(Tosses(), tmp_path)
    value = {name: found[name].value for name in NAMES}
    assert value["mse_best"] == 0  # of 12 clips and ten tosses all are met with a probability of 0.99
    assert (value["psnr_best"], value["ssim_best"]) == (100.0, pytest.approx(1.0))
    assert value["mse_mean"] < value["mse_drawn"]
    assert value["ssim_mean"] < value["ssim_best"]
    assert value["mse_mean"] == pytest.approx(found["mse"].value, rel=0.35)  # the mean of ten, and of all
    assert found["mse_best"].note == "10 futures drawn for each clip"


def test_scores_are_those_of_numpy_and_of_scikit_image(tmp_path: Path) -> None:
    found, subject = judged(Tosses(), tmp_path, draws=3)
    clips = subject.target.test.values[:, :, 0].double() / 255
    truth, past = clips[:, PAST:].numpy(), clips[:, :PAST, None].float()
    generator = subject.generator("futures")
    draws = [Tosses().sample_future(past, FAR, generator)[:, :, 0].double().numpy() for _ in range(3)]
    errors = np.stack([((draw - truth) ** 2).mean((2, 3)) for draw in draws])  # (draws,n,F)
    blur = np.mean(draws, 0)
    blurred = ((blur - truth) ** 2).mean((2, 3))
    expected = {
        "mse_best": errors.mean(2).min(0), "mse_drawn": errors.mean((0, 2)), "mse_mean": blurred.mean(1),
    }  # fmt: skip
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].outcomes.numpy(), values, rtol=1e-5, atol=1e-9)
    noise = -10 * np.log10(np.maximum(errors, 1e-10))
    np.testing.assert_allclose(found["psnr_best"].outcomes.numpy(), noise.mean(2).max(0), rtol=1e-5)
    np.testing.assert_allclose(found["psnr_drawn"].outcomes.numpy(), noise.mean((0, 2)), rtol=1e-5)
    np.testing.assert_allclose(expected["mse_drawn"], expected["mse_mean"] + np.var(draws, 0).mean((1, 2, 3)))
    similar = np.array(
        [
            [
                np.mean([similarity(a, b) for a, b in zip(one, two, strict=True)])
                for one, two in zip(draw, truth, strict=True)
            ]
            for draw in [*draws, blur]
        ]
    )  # (draws and blur,n)
    np.testing.assert_allclose(found["ssim_best"].outcomes.numpy(), similar[:3].max(0), atol=1e-3)
    np.testing.assert_allclose(found["ssim_drawn"].outcomes.numpy(), similar[:3].mean(0), atol=1e-3)
    np.testing.assert_allclose(found["ssim_mean"].outcomes.numpy(), similar[3], atol=1e-3)


def similarity(one: np.ndarray, two: np.ndarray) -> float:
    return structural_similarity(
        one, two, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0
    )


def test_who_always_draws_the_same_gains_nothing(tmp_path: Path) -> None:
    found, _ = judged(Knows(), tmp_path)
    for kind in KINDS:
        values = [found[f"{kind}_{answer}"].value for answer in ANSWERS]
        assert values == pytest.approx([found[kind].value] * 3, rel=1e-5)


def test_draws_are_those_of_the_seed(tmp_path: Path) -> None:
    one, two = (judged(Tosses(), tmp_path / name)[0] for name in "ab")
    assert {name: one[name].value for name in NAMES} == {name: two[name].value for name in NAMES}


def test_the_film_shows_two_draws(tmp_path: Path) -> None:
    _, subject = judged(Tosses(), tmp_path)
    film = subject.pictures[1]
    assert film.row_names == ("truth", "told", "copy", "drawn", "drawn again")
    with Image.open(film.file) as image:
        assert image.size[1] == 5 * (SIZE + 1) - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [(lambda told: told[:, :1], "sample_future.. gave"), (lambda told: told / 0, "sample_future.. gave .* not finite")],
)
def test_odd_futures_fail(change, message: str, tmp_path: Path) -> None:
    class Odd(Tosses):
        def sample_future(self, past: Tensor, steps: int, generator: torch.Generator) -> Tensor:
            return change(super().sample_future(past, steps, generator))

    with pytest.raises(TrainingFailed, match=message):
        judged(Odd(), tmp_path)


def test_at_least_one_future_is_drawn() -> None:
    with pytest.raises(ValueError, match="draws must be at least 1"):
        prediction.Config(draws=0)
