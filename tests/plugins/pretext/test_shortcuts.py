"""Shortcuts: on images that hold no answer, nobody may find one, however long a task is trained on such images.

Each task learns from fresh images at every step, so that nothing can be learned by heart, and is asked about others.
Where the answer is one of K, its accuracy must agree with chance by an exact binomial interval of 99.9 %; where it is a
picture, its error must not fall below that of the best constant picture by more than four standard errors. What each
test would miss if it were blind, its control shows: the same training on images that do hold the answer, or with a
guard of the task taken away.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.nn.lab import lab_to_rgb, rgb_to_lab
from harness_plugins.backbones import convnet
from harness_plugins.pretext import colorization, inpainting, jigsaw, relative_patch, rotation

SIZE = 16  # pixels
COLOURS = DataSpec(inputs=ImageField(channels=3, size=SIZE))
STEPS = 100
BATCH = 32
Images = Callable[[int], Tensor]  # how many -> float (n,3,H,W) in [0,1]


def noise(n: int) -> Tensor:
    return torch.rand(n, 3, SIZE, SIZE)


def constant(n: int) -> Tensor:
    return torch.rand(n, 3, 1, 1).expand(n, 3, SIZE, SIZE)


def texture(n: int) -> Tensor:
    """Noise in blocks of 2x2 pixels, smoothed: only pixels that touch are alike, so that touching edges would fit."""
    field = torch.rand(n, 3, SIZE + 1, SIZE + 1)
    return (field[..., 1:, 1:] + field[..., 1:, :-1] + field[..., :-1, 1:] + field[..., :-1, :-1]) / 4


def ramps(n: int) -> Tensor:
    """Brightness that rises evenly in some direction: it goes on from tile to tile, and all tiles look alike."""
    angle, slope = 6.3 * torch.rand(n, 3, 1, 1), 0.02 + 0.02 * torch.rand(n, 3, 1, 1)
    place = torch.arange(SIZE) - (SIZE - 1) / 2
    return 0.5 + slope * (angle.cos() * place[:, None] + angle.sin() * place)


def offsets(n: int) -> Tensor:
    """Noise on a brightness and a tint that depend on the quarter of the image: standardised tiles do not tell."""
    tint = torch.tensor([[[0.0, 0.2], [0.4, 0.6]], [[0.6, 0.0], [0.2, 0.4]], [[0.2, 0.6], [0.0, 0.4]]])
    quarters = tint.repeat_interleave(SIZE // 2, 1).repeat_interleave(SIZE // 2, 2)
    return quarters + 0.4 * noise(n)


def aberration(n: int) -> Tensor:
    """A texture whose red lies a pixel further out than green and blue: away from the middle, as behind a lens."""
    half = SIZE // 2
    rows = []
    for down in (-1, 1):
        fields = [(right, texture(n)[:, 1, : half + 2, : half + 2]) for right in (-1, 1)]
        quarters = [
            torch.stack([field[:, 1 - down :, 1 - right :][:, :half, :half], *[field[:, 1:-1, 1:-1]] * 2], 1)
            for right, field in fields
        ]
        rows.append(torch.cat(quarters, 3))
    return torch.cat(rows, 2)


def vignette(n: int) -> Tensor:
    """Bright in the middle, dark in the corners, with noise: every place is told by the way down. Holds the answer."""
    place = (torch.arange(SIZE) - (SIZE - 1) / 2) / SIZE
    dark = (place[:, None] ** 2 + place**2) * (1 + torch.rand(n, 1, 1, 1))
    return 0.9 - dark + 0.1 * noise(n)


def from_above(n: int) -> Tensor:
    """Light that falls from above, with noise: every turn is told. Holds the answer."""
    return torch.linspace(0.8, 0.2, SIZE)[:, None] + 0.2 * noise(n)


def backbone() -> nn.Module:
    return convnet.build(COLOURS, convnet.Config(width=8))


def posing(task: str, **config) -> nn.Module:
    """A task on three channels, small enough to train within seconds."""
    torch.manual_seed(0)
    if task == "jigsaw":
        return jigsaw.Jigsaw(backbone(), COLOURS, jigsaw.Config(puzzles=1, **config))
    if task == "relative-patch":
        return relative_patch.RelativePatch(backbone(), COLOURS, relative_patch.Config(cuts=1, **config))
    return rotation.Rotation(backbone(), COLOURS, rotation.Config(shift=0.2, **config))


def trained(method: nn.Module, images: Images, steps: int = STEPS) -> nn.Module:
    optimiser = torch.optim.AdamW(method.parameters(), lr=3e-3)
    torch.manual_seed(1)
    for _ in range(steps):
        optimiser.zero_grad()
        method.loss(Batch(inputs=images(BATCH))).backward()
        optimiser.step()
    return method.eval()


def answers(method: nn.Module, images: Images, count: int = 600) -> tuple[int, int, int]:
    """Right answers, questions, and answers to choose from."""
    torch.manual_seed(2)
    with torch.no_grad():
        logits, targets = method.solve(Batch(inputs=images(count)))
    return int((logits.argmax(1) == targets).sum()), len(targets), logits.shape[1]


NO_ANSWER = [
    *[("jigsaw", images) for images in (noise, constant, texture, ramps, offsets)],
    *[("relative-patch", images) for images in (noise, constant, texture, ramps, offsets, aberration)],
    *[("rotation", images) for images in (noise, constant, texture)],
]


@pytest.mark.parametrize(("task", "images"), NO_ANSWER)
def test_images_without_an_answer_leave_a_task_at_chance(task: str, images: Images) -> None:
    right, questions, choices = answers(trained(posing(task), images), images)
    interval = binomtest(right, questions).proportion_ci(0.999, "exact")
    assert interval.low <= 1 / choices <= interval.high, f"{right / questions:.3f} of {questions}"


@pytest.mark.parametrize(
    ("task", "images"), [("jigsaw", vignette), ("relative-patch", vignette), ("rotation", from_above)]
)
def test_images_with_an_answer_are_solved(task: str, images: Images) -> None:
    right, questions, choices = answers(trained(posing(task), images), images)
    assert binomtest(right, questions).proportion_ci(0.999, "exact").low > 2 / choices


@pytest.mark.parametrize("task", ["jigsaw", "relative-patch"])
@pytest.mark.parametrize("images", [ramps, offsets])
def test_brightness_would_tell_if_tiles_were_not_standardised(
    task: str, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = jigsaw if task == "jigsaw" else relative_patch
    monkeypatch.setattr(module, "standardise_tiles", lambda tiles: tiles - 0.5)
    right, questions, choices = answers(trained(posing(task), images), images)
    assert binomtest(right, questions).proportion_ci(0.999, "exact").low > 2 / choices


def test_a_lens_would_tell_if_patches_kept_all_channels() -> None:
    right, questions, choices = answers(trained(posing("relative-patch", colour="all"), aberration), aberration)
    assert binomtest(right, questions).proportion_ci(0.999, "exact").low > 2 / choices


def below_the_best_constant(errors: Tensor, floor: Tensor) -> float:
    """How many standard errors the errors (n,) lie below those of the best constant answer (n,), on average."""
    gain = (floor - errors).double()
    return float(gain.mean() / (gain.std() / len(gain) ** 0.5))


def errors_in_holes(images: Images) -> tuple[Tensor, Tensor]:
    """The errors (n,) of inpainting on each of n images, and of the images' mean."""
    torch.manual_seed(0)
    method = trained(inpainting.Inpainting(backbone(), COLOURS, inpainting.Config()), images)
    shown = images(500)
    missing = inpainting.holes(shown, method.config.holes, method.side)
    with torch.no_grad():
        drawn = method.draw(shown.where(~missing, method.backbone.mean))
    mean = images(2000).mean((0, 2, 3))[:, None, None]
    each = [(one, other, hole) for one, other, hole in zip(shown, drawn, missing, strict=True)]
    errors = torch.stack([inpainting.error_in_holes(other, one, hole) for one, other, hole in each])
    return errors, torch.stack([inpainting.error_in_holes(mean, one, hole) for one, _, hole in each])


def test_noise_cannot_be_drawn_better_than_by_its_mean() -> None:
    errors, floor = errors_in_holes(noise)
    assert below_the_best_constant(errors, floor) < 4
    assert errors.mean() < 1.2 * floor.mean()  # and training has found the floor


def test_what_continues_around_a_hole_is_drawn() -> None:
    errors, floor = errors_in_holes(ramps)
    assert below_the_best_constant(errors, floor) > 10
    assert errors.mean() < 0.5 * floor.mean()


def tinted(n: int, *, told: bool) -> Tensor:
    """Pixels of random lightness; their colour is red or blue by the toss of a coin, or as the lightness tells."""
    lightness = 60 + 10 * (torch.rand(n, 1, SIZE // 4, SIZE // 4) - 0.5)
    red = lightness > 60 if told else torch.rand_like(lightness) > 0.5
    lab = torch.cat([lightness, 40.0 * red - 20, 20 - 40.0 * red], 1)
    return lab_to_rgb(lab.repeat_interleave(4, 2).repeat_interleave(4, 3))


def losses_of_colours(images: Images) -> tuple[Tensor, Tensor]:
    """The losses of colourisation on batches, and of the best answer that is the same for every place."""
    torch.manual_seed(0)
    method = trained(colorization.Colorization(backbone(), COLOURS, colorization.Config()), images, 2 * STEPS)
    colours = method.colours(rgb_to_lab(images(500)))
    chosen, shares = colorization.soft_bins(colours, method.bins, 5, 5.0)
    wanted = torch.zeros(len(method.bins)).index_add_(
        0, chosen.flatten(), (shares * method.weights()[chosen[:, :1]]).flatten()
    )
    batches = [Batch(inputs=images(BATCH)) for _ in range(30)]
    with torch.no_grad():
        losses = torch.stack([method.loss(batch) for batch in batches])
        logits = (wanted / wanted.sum()).clamp_min(1e-12).log()
        method.classify = lambda lab: logits.expand(len(lab) * method.positions**2, -1)
        return losses, torch.stack([method.loss(batch) for batch in batches])


def test_colours_that_nothing_tells_are_guessed_no_better_than_by_their_frequency() -> None:
    losses, floor = losses_of_colours(lambda n: tinted(n, told=False))
    assert below_the_best_constant(losses, floor) < 4
    assert losses.mean() < 1.1 * floor.mean()


def test_colours_that_lightness_tells_are_found() -> None:
    losses, floor = losses_of_colours(lambda n: tinted(n, told=True))
    assert below_the_best_constant(losses, floor) > 10
    assert losses.mean() < 0.8 * floor.mean()
