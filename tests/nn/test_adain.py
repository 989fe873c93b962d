"""Adaptive instance normalisation against its definition and against torch's instance normalisation."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from harness.nn.adain import adain, map_statistics, style_code, style_distance


def maps(seed: int, *, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(3, 5, 4, 6, generator=torch.Generator().manual_seed(seed)) * scale + shift


def test_the_output_has_the_statistics_of_the_style() -> None:
    content, style = maps(0), maps(1, scale=3.0, shift=2.0)
    result = adain(content, style)
    torch.testing.assert_close(result.mean((2, 3)), style.mean((2, 3)), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(result.std((2, 3)), style.std((2, 3)), rtol=1e-4, atol=1e-4)


def test_it_is_instance_normalisation_scaled_by_the_style() -> None:
    content, style = maps(0), maps(1, scale=0.5, shift=-1.0)
    deviation = (style.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    expected = F.instance_norm(content, eps=1e-5) * deviation + style.mean((2, 3), keepdim=True)
    torch.testing.assert_close(adain(content, style), expected)


def test_an_image_in_its_own_style_stays_as_it_is() -> None:
    torch.testing.assert_close(adain(maps(0), maps(0)), maps(0))


def test_the_content_s_own_style_does_not_matter() -> None:
    style = maps(1)
    torch.testing.assert_close(adain(7 * maps(0) + 3, style), adain(maps(0), style), rtol=1e-3, atol=1e-4)


def test_flat_channels_have_finite_gradients() -> None:
    flat = torch.zeros(2, 3, 4, 4, requires_grad=True)
    adain(flat, flat).square().sum().backward()
    assert flat.grad is not None
    assert torch.isfinite(flat.grad).all()


def test_the_code_holds_means_and_deviations_of_every_level() -> None:
    levels = [maps(0), maps(1)[:, :2]]
    code = style_code(levels)
    assert code.shape == (3, 2 * (5 + 2))
    torch.testing.assert_close(code[:, :5], levels[0].mean((2, 3)))
    torch.testing.assert_close(code[:, 5:10], map_statistics(levels[0])[1].flatten(1))


def test_the_distance_of_styles_ignores_where_things_are() -> None:
    levels = [maps(0), maps(1)]
    moved = [level.roll((1, 2), (2, 3)) for level in levels]
    torch.testing.assert_close(style_distance(levels, moved), torch.tensor(0.0))
    shifted = [levels[0] + 2, levels[1]]
    torch.testing.assert_close(style_distance(levels, shifted), torch.tensor(4.0))
