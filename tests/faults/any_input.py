"""Whatever comes in: a property tried on a few inputs in the fast suite, and on 20,000 by `make faults`.

The seed is fixed, so that a failure comes again; what once failed stands beside the property as an example.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings

from harness.errors import HarnessError

FEW, MANY = 150, int(os.environ.get("HARNESS_INPUTS", 20_000))  # for a quick look: HARNESS_INPUTS=1000
SEED = 15
UNCHECKED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]


def counts(few: int = FEW) -> Any:
    """Of a test with an argument `count`: so many inputs, and 20,000 in the slow suite."""
    return pytest.mark.parametrize("count", [few, pytest.param(MANY, marks=pytest.mark.slow)])


def tried(count: int, *strategies: Any, **named: Any) -> Callable[[Any], Any]:
    """Run what is decorated on so many inputs, at once."""

    def run(check: Any) -> None:
        fixed = settings(max_examples=count, deadline=None, suppress_health_check=UNCHECKED)
        seed(SEED)(fixed(given(*strategies, **named)(check)))()

    return run


def inputs(*strategies: Any, **named: Any) -> Callable[[Any], Any]:
    """The same property as a fast test and as a slow one."""

    def both(check: Any) -> Any:
        @counts()
        def test(count: int) -> None:
            tried(count, *strategies, **named)(check)

        test.__doc__ = check.__doc__
        return test

    return both


def one_line(error: HarnessError) -> None:
    """Is an error one short line that may be shown?"""
    text = str(error)
    assert "\n" not in text
    assert "\x1b" not in text
    assert 0 < len(text) < 2_000
