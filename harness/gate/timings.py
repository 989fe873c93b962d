"""What was measured of two versions' times, as rows that every writer of a comparison shows."""

from __future__ import annotations

from dataclasses import replace
from math import inf, isfinite, isnan
from typing import Literal

from harness.gate.findings import Finding, Place
from harness.gate.pairs import Kind, Measured
from harness.gate.sequential import Timed

TIME = "time"  # the score: seconds of one training step, or of encoding one batch
PARTS: dict[Kind, str] = {"train": "step", "encode": "encoding"}  # the evaluation of its place, as in the exact tier


def row(measured: Measured, place: Place, *, gated: bool = True, reason: str = "") -> Finding:
    """The row of one timed cell. Its `seeds` are pairs of processes.

    fail is worse; pass is equivalent where it is not faster by the margin either, better where it is shown to be
    faster, and else undecided but non-inferior.
    """
    found = measured.verdict
    row = Finding(
        place=place,
        score=TIME,
        unit="s",
        direction="lower",
        kind="paired-time",
        gated=gated,
        verdict=verdict(found),
        non_inferior=found.word == "pass",
        why=why(measured),
        margin=found.margin,
        p=found.p if found.word == "fail" else None,
        seeds=found.pairs,
        seeds_needed=found.pairs_needed,
        reason=reason,
    )
    if not found.pairs:
        return row
    bounded = found.low > -1 and found.high < inf
    return replace(
        row,
        base=measured.base,
        candidate=measured.candidate,
        change=found.change,
        low=found.low if bounded else None,
        high=found.high if bounded else None,
        detectable=None if isnan(found.detectable) else found.detectable,
    )


def verdict(found: Timed) -> Literal["better", "equivalent", "worse", "undecided"]:
    """The word of a comparison for what the rule says."""
    if found.word == "fail":
        return "worse"
    if found.equivalent:
        return "equivalent"
    return "better" if found.word == "pass" and found.high < 0 else "undecided"


def why(measured: Measured) -> str:
    """With the noise, and that the time was over where it was that."""
    found = measured.verdict
    parts = [found.why]
    if isfinite(found.noise):
        parts.append(f"two equal processes differ by {100 * found.noise:.1f} % here")
    if measured.over:
        parts.append(f"the time was over after {measured.seconds:.0f} s")
    return "; ".join(parts)
