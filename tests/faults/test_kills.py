"""Kills at random moments lose no finished cell, and change no number. HARNESS_KILLS says how many."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kills import killed_often


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    kills = int(os.environ.get("HARNESS_KILLS", "200"))
    told = killed_often(tmp_path, kills, seed=0)
    print(dict(told))
    assert told["kills"] >= kills
    assert told["trainings under way at a start"] > kills / 4
    assert (told["lost cells"], told["runs that differ"], told["states left"]) == (0, 0, 0)
