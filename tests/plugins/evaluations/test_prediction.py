"""Prediction and infilling: methods whose errors are known, against numpy and scikit-image."""

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
from harness.errors import NotApplicable, TrainingFailed
from harness.judging.told_frames import scores_of
from harness_plugins.evaluations import infilling, prediction
from harness_plugins.references.last_frame import LastFrame
from harness_plugins.references.mean_frame import MeanFrame

FRAMES, SIZE = 7, 16


def clips_dataset(frames: int = FRAMES, rate: float = 0.0):
    """Smooth pictures that roll to the right by one pixel a frame."""
    picture = generated_clips(channels=1, size=SIZE, classes=4, n=40).values[:, 0]
    clips = torch.stack([picture.roll(frame, 3) for frame in range(frames)], 1)
    spec = DataSpec(inputs=VideoField(frames=frames, channels=1, size=SIZE, rate=rate))
    return split_dataset("rolling", RawData(inputs=clips), spec, 0)


class Rolls(nn.Module):
    """Knows how the clips go on, and adds an error."""

    farthest = 2

    def __init__(self, error: float = 0.0) -> None:
        super().__init__()
        self.error = error

    def encode(self, clips: Tensor) -> Tensor:
        return clips.flatten(1)

    def forecast(self, past: Tensor, steps: int) -> Tensor:
        return torch.stack([past[:, -1].roll(step, 3) for step in range(1, steps + 1)], 1) + self.error

    def infill(self, before: Tensor, after: Tensor, far: int) -> Tensor:
        torch.testing.assert_close(before[:, -1].roll(2 * far, 3), after[:, 0])
        return before[:, -1].roll(far, 3) + self.error


def judged(method: nn.Module, folder: Path, module=prediction, frames: int = FRAMES):
    subject = example_subject(method, clips_dataset(frames), folder)
    return module.run(subject, module.Config()), subject


@pytest.mark.parametrize(("module", "far"), [(prediction, 3), (infilling, 2)])
def test_who_knows_is_exact_and_who_copies_has_no_skill(module, far: int, tmp_path: Path) -> None:
    known, subject = judged(Rolls(), tmp_path, module)
    assert set(known) == {
        f"{s}{h}" for s in ("mse", "psnr", "ssim", "skill") for h in ("", *(f"_{d + 1}" for d in range(far)))
    }
    assert known["mse"].value == 0
    assert (known["skill"].value, known["ssim"].value, known["psnr"].value) == (1.0, pytest.approx(1.0), 100.0)
    copied, _ = judged(LastFrame(None, subject.spec, None), tmp_path, module)
    assert copied["skill"].value == copied[f"skill_{far}"].value == 0
    assert copied["mse_2"].value > copied["mse_1"].value > 0
    mean, _ = judged(MeanFrame(None, subject.spec, None), tmp_path, module)
    assert mean["mse"].value > 0
    kinds = [(picture.name, picture.kind) for picture in subject.pictures]
    name = module.__name__.rsplit(".", 1)[1]
    assert kinds == [
        (name, "image"),
        (f"{name}_film", "film"),
        (f"{name}_psnr", "curve"),
        (f"{name}_ssim", "curve"),
    ]
    assert all(Path(picture.file).is_file() for picture in subject.pictures)
    assert subject.pictures[0].row_names[:3] == ("truth", "told", "copy")


@pytest.mark.parametrize(("module", "before", "after"), [(prediction, 4, 0), (infilling, 2, 2)])
def test_films_have_the_clips_with_what_was_told_of_them(module, before: int, after: int, tmp_path: Path) -> None:
    """Above the true clips as they are, whole; below them those that were told, and copies, in the same company."""
    _, subject = judged(Rolls(0.25), tmp_path, module)
    film = subject.pictures[1]
    assert (film.columns, film.row_names) == (5, ("truth", "told", "copy"))
    clips = subject.target.test.values
    true = clips[torch.linspace(0, len(clips) - 1, 5).round().long()][:, :, 0].numpy()  # (5,T,H,W)
    with Image.open(film.file) as image:
        assert image.n_frames == FRAMES + 1  # and the still one
        for place in range(FRAMES):
            image.seek(place + 1)
            sheet = np.asarray(image.convert("L"))
            told_now = before <= place < FRAMES - after
            for index, clip in enumerate(true):
                column = slice(index * (SIZE + 1), index * (SIZE + 1) + SIZE)
                above, middle, below = (sheet[r * (SIZE + 1) : r * (SIZE + 1) + SIZE, column] for r in range(3))
                np.testing.assert_array_equal(above, clip[place])
                wrong = np.minimum(clip[place] + 0.25 * 255, 255) if told_now else clip[place]
                np.testing.assert_allclose(middle, wrong, atol=1)
                copied = clip[place - 1 if module is infilling else before - 1] if told_now else clip[place]
                np.testing.assert_array_equal(below, copied)


def test_films_run_as_fast_as_the_data_where_that_is_known(tmp_path: Path) -> None:
    for rate, milliseconds in ((10.0, 100.0), (0.0, 250.0)):
        subject = example_subject(Rolls(), clips_dataset(rate=rate), tmp_path / str(rate))
        prediction.run(subject, prediction.Config())
        with Image.open(subject.pictures[1].file) as image:
            image.seek(1)
            assert image.info["duration"] == milliseconds


def test_errors_are_those_of_numpy_and_of_scikit_image(tmp_path: Path) -> None:
    """SSIM with Wang's window: Gaussian, 11x11, sigma 1.5, population moments, without the border."""
    found, subject = judged(LastFrame(None, None, None), tmp_path)
    clips = subject.target.test.values[:, :, 0].double().numpy() / 255  # (N,T,H,W)
    for ahead in (1, 2, 3):
        truth, copy = clips[:, 3 + ahead], clips[:, 3]
        error = ((truth - copy) ** 2).mean((1, 2))
        assert found[f"mse_{ahead}"].value == pytest.approx(error.mean(), rel=1e-6)
        assert found[f"psnr_{ahead}"].value == pytest.approx((-10 * np.log10(error)).mean(), rel=1e-6)
        similar = [
            structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0)
            for a, b in zip(truth, copy, strict=True)
        ]
        assert found[f"ssim_{ahead}"].value == pytest.approx(np.mean(similar), abs=1e-3)


def test_the_skill_of_an_error_is_one_less_its_share_of_the_copys(tmp_path: Path) -> None:
    error, copied = (
        torch.tensor([[0.01, 0.04], [0.03, 0.0]]).double(),
        torch.tensor([[0.04, 0.04], [0.04, 0.12]]).double(),
    )
    found = scores_of(error, torch.ones(2, 2), copied, "")
    assert found["skill_1"].value == pytest.approx(1 - 0.02 / 0.04)
    assert found["skill_2"].value == pytest.approx(1 - 0.02 / 0.08)
    assert found["skill"].value == pytest.approx(1 - 0.02 / 0.06)
    assert float(found["skill"].outcomes.mean()) == pytest.approx(found["skill"].value)
    still = scores_of(error * 0, torch.ones(2, 2), copied * 0, "")
    assert still["skill"].value == 0  # nothing moves, nothing to gain


def test_frames_are_clamped_first(tmp_path: Path) -> None:
    white = judged(Rolls(5.0), tmp_path)[0]
    assert white["mse"].value <= 1


class Odd(Rolls):
    def __init__(self, change) -> None:
        super().__init__()
        self.change = change

    def forecast(self, past: Tensor, steps: int) -> Tensor:
        return self.change(super().forecast(past, steps))


@pytest.mark.parametrize(
    ("change", "message"),
    [(lambda told: told[:, :1], "gave .8, 1, 1, 16, 16., expected"), (lambda told: told / 0, "not finite")],
)
def test_odd_answers_fail(change, message: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match=message):
        judged(Odd(change), tmp_path)


@pytest.mark.parametrize("module", [prediction, infilling])
def test_short_clips_are_skipped_with_the_reason(module, tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="clips of 4 frames have no"):
        judged(Rolls(), tmp_path, module, frames=4)
