"""Views: the same pixels as torch's own resampling, every image its own draws, no colour where there is none."""

from __future__ import annotations

from dataclasses import replace
from math import pi

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.data.fields import DataSpec, ImageField
from harness.nn.views import LUMA, ViewConfig, Views, interpolation, resampled, turns_about_grey, views_for

B = 6


def images(channels: int = 3, size: int = 16, n: int = B) -> Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(0))


def spec(channels: int = 3, size: int = 32, mirror: bool = False) -> DataSpec[ImageField]:
    return DataSpec(inputs=ImageField(channels=channels, size=size, mirror=mirror))


def whole(size: int, n: int = B) -> tuple[Tensor, Tensor]:
    return torch.zeros(2, n), torch.full((2, n), float(size))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("out", [8, 11, 16, 23])
def test_a_whole_image_is_resized_as_by_torch(channels: int, out: int) -> None:
    given = images(channels)
    weights = interpolation(*whole(16), 16, out)
    expected = F.interpolate(given, size=(out, out), mode="bilinear", antialias=True)
    # torch's kernel on the CPU leaves out the pixels beyond the border, and so do ours
    torch.testing.assert_close(resampled(given, *weights), expected, rtol=1e-4, atol=1e-4)


def test_a_crop_is_what_grid_sample_takes_there() -> None:
    given = images()
    start = torch.rand(2, B) * 6
    extent = 4 + torch.rand(2, B) * 6
    found = resampled(given, *interpolation(start, extent, 16, 16))
    scale, centre = extent / 16, (start + extent / 2) / 8 - 1  # of [-1,1]
    theta = torch.zeros(B, 2, 3)
    theta[:, 0, 0], theta[:, 0, 2], theta[:, 1, 1], theta[:, 1, 2] = scale[1], centre[1], scale[0], centre[0]
    grid = F.affine_grid(theta, [B, 3, 16, 16], align_corners=False)
    expected = F.grid_sample(given, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_mirrored_crop_is_the_crop_mirrored() -> None:
    given, start, extent = images(), torch.rand(2, B) * 6, 4 + torch.rand(2, B) * 6
    straight = resampled(given, *interpolation(start, extent, 16, 12))
    mirrored = torch.arange(B) % 2 == 0
    found = resampled(given, *interpolation(start, extent, 16, 12, mirrored))
    torch.testing.assert_close(found[mirrored], straight[mirrored].flip(-1))
    torch.testing.assert_close(found[~mirrored], straight[~mirrored])


def test_nothing_asked_changes_nothing() -> None:
    given = images()
    torch.testing.assert_close(Views(size=16, jittered=0.0)(given), given)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_has_draws_of_its_own(channels: int) -> None:
    given = images(channels, n=1).expand(64, -1, -1, -1)
    for change in ({"smallest": 0.3}, {"mirror": 0.5}, {"brightness": 0.5}, {"contrast": 0.5}, {"blur": 0.5}):
        torch.manual_seed(0)
        found = Views(size=16, **change)(given)  # type: ignore[arg-type]
        assert len(found.flatten(1).unique(dim=0)) > 1, change
        assert -1e-6 <= float(found.min()) <= float(found.max()) <= 1 + 1e-6


def test_the_same_seed_makes_the_same_views() -> None:
    views = views_for(spec(), ViewConfig(blur=0.5, solarise=0.5, mirror=True))
    seen = []
    for _ in range(2):
        torch.manual_seed(3)
        seen.append(views(images(size=32)))
    assert torch.equal(*seen)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_areas_and_ratios_of_crops_lie_between_their_bounds() -> None:
    ramp = torch.linspace(0, 1, 64).expand(2000, 1, 64, 64)  # brightness is the column
    torch.manual_seed(0)
    found = Views(size=64, smallest=0.25, largest=0.5)(ramp)
    width = (found[:, 0, 0, 32] - found[:, 0, 0, 31]) * 63  # of 64 columns, in whole image widths times 64
    tall = Views(size=64, smallest=0.25, largest=0.5)(ramp.mT)
    height = (tall[:, 0, 32, 0] - tall[:, 0, 31, 0]) * 63
    for side in (width, height):
        assert 0.25 * 3 / 4 - 0.01 <= float(side.square().min()) < float(side.square().max()) <= 0.5 * 4 / 3 + 0.01
        assert abs(float(side.square().mean()) - 0.375) < 0.02


@pytest.mark.parametrize("strength", [0.4, 0.8])
def test_brightness_and_contrast_are_torchvisions(strength: float) -> None:
    transforms = pytest.importorskip("torchvision.transforms.v2.functional")
    given = images(n=1)
    for name, adjust in (("brightness", transforms.adjust_brightness), ("contrast", transforms.adjust_contrast),
                         ("saturation", transforms.adjust_saturation)):  # fmt: skip
        torch.manual_seed(0)
        found = Views(size=16, jittered=1.0, **{name: strength})(given)
        torch.manual_seed(0)
        gaps = [
            float((adjust(given, factor) - found).abs().max()) for factor in torch.linspace(0.1, 1.9, 1801).tolist()
        ]
        assert min(gaps) < 2e-3, f"{name} is no adjustment of torchvision's"


def test_hue_turns_colours_and_keeps_greys() -> None:
    turn = turns_about_grey(torch.tensor([0.0, 0.7, 2 * pi / 3]))
    torch.testing.assert_close(turn[0], torch.eye(3))
    torch.testing.assert_close(turn[1] @ torch.ones(3), torch.ones(3))
    torch.testing.assert_close(turn[1] @ turn[1].T, torch.eye(3), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(turn[2] @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), rtol=1e-5, atol=1e-6)


def test_grey_takes_the_colours() -> None:
    found = Views(size=16, grey=1.0, jittered=0.0)(images())
    expected = torch.einsum("bchw,c->bhw", images(), torch.tensor(LUMA))
    torch.testing.assert_close(found, expected[:, None].expand_as(found))


def test_solarise_inverts_what_is_bright() -> None:
    given = images()
    found = Views(size=16, solarise=1.0)(given)
    torch.testing.assert_close(found, torch.where(given > 0.5, 1 - given, given))


def test_a_blur_is_the_gaussian_of_its_width() -> None:
    given = torch.zeros(400, 1, 41, 41)
    given[:, :, 20, 20] = 1
    torch.manual_seed(0)
    found = Views(size=41, blur=0.5)(given)[:, 0]
    blurred = found[:, 20, 20] < 0.99
    assert 100 < int(blurred.sum()) < 250  # a few are blurred by less than a pixel sees
    places = torch.arange(41.0) - 20
    profile = found[blurred].sum(1)  # over rows: (M,41)
    variance = (profile * places.square()).sum(1) / profile.sum(1)
    assert float(variance.max()) < (2.0 * 0.025 * 41 + 0.1) ** 2
    torch.testing.assert_close(found.sum((1, 2)), torch.ones(400))


def test_bf16_autocast_rounds_no_view() -> None:
    views = views_for(spec(), ViewConfig(crop=0.3, blur=0.5))
    torch.manual_seed(0)
    expected = views(images(size=32))
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = views(images(size=32))
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("channels", "size", "mirror", "config", "expected"),
    [
        (1, 28, False, ViewConfig(), {"mirror": 0.0, "saturation": 0.0, "hue": 0.0, "grey": 0.0, "blur": 0.0}),
        (3, 32, True, ViewConfig(), {"mirror": 0.5, "saturation": 0.4, "hue": 0.1, "grey": 0.2, "blur": 0.0}),
        (3, 96, True, ViewConfig(mirror=False), {"mirror": 0.0, "blur": 0.5}),
        (1, 8, False, ViewConfig(mirror=True, blur=0.3), {"mirror": 0.5, "blur": 0.3}),
    ],
)
def test_a_recipe_suits_the_data(
    channels: int, size: int, mirror: bool, config: ViewConfig, expected: dict[str, float]
) -> None:
    views = views_for(spec(channels, size, mirror), config)
    assert {name: getattr(views, name) for name in expected} == pytest.approx(expected)
    assert views(images(channels, size)).shape == (B, channels, size, size)


def test_small_crops_come_in_another_size() -> None:
    small = replace(views_for(spec(size=32), ViewConfig()), size=12, smallest=0.1, largest=0.3)
    assert small(images(size=32)).shape == (B, 3, 12, 12)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"crop": 0.0}, "fraction of the area"), ({"jitter": 1.5}, "jitter is 1.5"), ({"blur": -0.1}, "blur is -0.1")],
)
def test_what_is_no_recipe_is_said(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ViewConfig(**wrong)  # type: ignore[arg-type]
