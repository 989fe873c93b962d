"""Paths of images: a cross-fade, a jump and a detour, and reach by comparing all pairs."""

from __future__ import annotations

import pytest
import torch

from harness.errors import TrainingFailed
from harness.metrics.neighbours import squared_radii
from harness.metrics.paths import share_in_reach, step_evenness


def test_steps_of_a_cross_fade_of_a_jump_and_of_a_detour() -> None:
    first, last = torch.rand(2, 3, 1, 1, 4, 4, generator=torch.Generator().manual_seed(0)).unbind()
    fade = torch.lerp(first, last, torch.linspace(0, 1, 9)[None, :, None, None, None])
    assert step_evenness(fade) == (pytest.approx(1), pytest.approx(1))
    jump = torch.cat([first.expand(-1, 5, -1, -1, -1), last.expand(-1, 4, -1, -1, -1)], 1)
    assert step_evenness(jump) == (pytest.approx(8), pytest.approx(1))
    corner = torch.zeros(1, 3, 1, 1, 2)
    corner[0, 1, 0, 0, 0] = corner[0, 2, 0, 0, 0] = 3.0
    corner[0, 2, 0, 0, 1] = 4.0  # 3 to the right, 4 up: 7 instead of 5
    assert step_evenness(corner) == (pytest.approx(4 / 3.5), pytest.approx(7 / 5))
    with pytest.raises(TrainingFailed, match="ignores its code"):
        step_evenness(first.expand(-1, 5, -1, -1, -1))


def test_what_is_in_reach_is_found_by_comparing_all_pairs() -> None:
    generator = torch.Generator().manual_seed(0)
    points, data = (scale * torch.randn(n, 3, generator=generator).double() for n, scale in ((60, 3), (40, 1)))
    found = 0
    for point in points:
        for row in range(len(data)):
            others = sorted(float((data[other] - data[row]).norm()) for other in range(len(data)) if other != row)
            if float((point - data[row]).norm()) <= others[4]:
                found += 1
                break
    assert 0 < found < 60
    assert share_in_reach(points, data, squared_radii(data, 5)) == pytest.approx(found / 60)
