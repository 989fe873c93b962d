"""State in plain attributes is seen when it changes, wherever it is kept, and nothing else is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from harness.unsaved import plain_state, unsaved_note


class Keeper(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Linear(2, 2)
        self.register_buffer("kept", torch.zeros(2))
        self.queue = torch.zeros(3)
        self.parts = {"a": [torch.zeros(2), 1.0], "b": deque([np.zeros(2)])}
        self.generator = torch.Generator()
        self.steps = 0


def note(change: Callable[[Any], object]) -> str:
    keeper = Keeper()
    before = plain_state(keeper)
    change(keeper)
    return unsaved_note(before, plain_state(keeper))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda keeper: keeper.queue.add_(1), "queue"),
        (lambda keeper: setattr(keeper, "queue", torch.zeros(4)), "queue"),
        (lambda keeper: keeper.parts["a"][0].add_(1), "parts"),
        (lambda keeper: keeper.parts["b"].append(np.ones(2)), "parts"),
        (lambda keeper: setattr(keeper, "steps", 1), "steps"),
        (lambda keeper: setattr(keeper.part, "extra", torch.ones(1)), "part.extra"),
        (
            lambda keeper: (keeper.queue.add_(1), keeper.parts.clear(), setattr(keeper, "steps", 1)),
            "queue, parts and 1 more",
        ),
    ],
)
def test_what_changed_is_named(change: Callable[[Any], object], names: str) -> None:
    assert note(change) == (
        f"{names} changed in training, but no parameter or buffer keeps it: it is not saved; use register_buffer(), "
        "with persistent=False for what training alone needs"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda keeper: None,
        lambda keeper: keeper.eval(),
        lambda keeper: keeper.kept.add_(1),
        lambda keeper: nn.init.zeros_(keeper.part.weight),
        lambda keeper: torch.rand(1, generator=keeper.generator),
    ],
)
def test_parameters_buffers_and_the_mode_are_no_such_state(change: Callable[[Any], object]) -> None:
    assert note(change) == ""


def test_a_list_that_refers_to_parameters_keeps_nothing_of_its_own() -> None:
    network = nn.GRU(2, 3)
    before = plain_state(network)
    with torch.no_grad():
        network.weight_hh_l0.add_(1)
    assert unsaved_note(before, plain_state(network)) == ""
