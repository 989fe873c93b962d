"""Schedules of the learning rate: read from text, and beside torch's own."""

from __future__ import annotations

import pytest
import torch

from harness.clock import rate_at
from harness.rates import Steps, parse_schedule
from harness.records import TrainConfig


def test_the_schedule_has_no_jump_at_the_end_of_the_warm_up() -> None:
    assert rate_at(0.1 - 1e-9, 0.1) == pytest.approx(rate_at(0.1, 0.1), abs=1e-6)
    assert rate_at(0.0, 0.0) == 1.0
    assert rate_at(1.0, 0.3) == pytest.approx(0.0)


def test_a_constant_schedule_stays_at_its_rate_after_the_warm_up() -> None:
    assert [rate_at(done, 0.5, "constant") for done in (0.0, 0.5, 0.75, 1.0)] == [0.01, 1.0, 1.0, 1.0]


def test_steps_are_those_of_torchs_multi_step_schedule() -> None:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    reference = torch.optim.lr_scheduler.MultiStepLR(optimiser, [200, 350], gamma=10**-0.2)
    for epoch in range(500):
        rate = rate_at(epoch / 500, 0.0, f"steps[200/500,350/500;{10**-0.2}]")
        assert rate == pytest.approx(optimiser.param_groups[0]["lr"]), epoch
        optimiser.step()
        reference.step()


def test_steps_come_after_a_warm_up_or_within_it() -> None:
    assert [rate_at(done, 0.5, "steps[0.6;0.1]") for done in (0.0, 0.5, 0.6)] == pytest.approx([0.01, 1.0, 0.1])
    assert rate_at(0.25, 0.5, "steps[0.1;0.5]") == pytest.approx(0.5 * 0.505)


@pytest.mark.parametrize("text", ["steps[0.4,0.7;0.5]", "steps[2/5, 350/500; 5e-1]", " steps[.4,.7;.5] "])
def test_places_are_fractions_of_the_budget_however_written(text: str) -> None:
    assert parse_schedule(text) == Steps(places=(0.4, 0.7), factor=0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("linear", "schedule 'linear' is unknown: write 'cosine', 'constant', or 'steps"),
        ("steps", "is unknown"),
        ("steps[0.4]", "is unknown"),
        ("steps[0.4;0.5]x", "is unknown"),
        ("steps[a;0.5]", "holds something that is no number"),
        ("steps[1/0;0.5]", "holds something that is no number"),
        ("steps[0.4;half]", "holds something that is no number"),
        ("steps[200,350;0.5]", "places are rising fractions of the budget, 0.4 or 200/500"),
        ("steps[0.7,0.4;0.5]", "rising fractions"),
        ("steps[0.4,0.4;0.5]", "rising fractions"),
        ("steps[nan;0.5]", "rising fractions"),
        ("steps[0.4;0]", "the factor must be above 0"),
        ("steps[0.4;nan]", "the factor must be above 0"),
    ],
)
def test_what_is_no_schedule_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="schedule") as caught:
        TrainConfig(schedule=text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
