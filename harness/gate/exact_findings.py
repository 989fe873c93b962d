"""Counted costs of two versions, compared: every quantity has its size against a margin, nothing is left to chance.

What harness.gate.exact wrote for each cell and seed of both sides -> a Finding for each quantity, and which cells are
the same to the last bit. Pure: plain data in, records out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.gate.findings import Differing, Finding, Place
from harness.gate.margins import Margin, Margins
from harness.gate.questions import of_counts

Measured = Mapping[str, Any]  # what harness.gate.exact writes of one cell; less where its process ended
UNITS = {
    "trained_weights": "weights",
    "frozen_weights": "weights",
    "flops": "FLOPs",
    "operators": "calls",
    "views": "views",
    "peak_bytes": "bytes",
    "held_bytes": "bytes",
    "kept_bytes": "bytes",
    "digest": "digests",  # how many of them differ
}
EVALUATION, DIGEST = "method", "digest"
MUST_AGREE = ("torch", "device", "steps")  # else counts are of something else
BITS_TOO = ("device name", "instructions", "threads")  # else bits differ without a change of the code
SHOWN = 4  # operators that a row names


def exact_findings(base: Iterable[Measured], candidate: Iterable[Measured], margins: Margins) -> list[Finding]:
    """A row for each quantity of each cell, judged at the seed where it is worst; and one for what cannot be judged."""
    old, new = _by_place(base), _by_place(candidate)
    rows: list[Finding] = []
    for key in dict.fromkeys([*new, *old]):
        rows += _of_cell(old.get(key, {}), new.get(key, {}), margins)
    return rows


def identical(base: Measured, candidate: Measured) -> bool:
    """Are losses, weights and the encoded batch of one cell and seed the same to the last bit?"""
    if not base["status"] == candidate["status"] == "ok" or base["ruler"] != candidate["ruler"]:
        return False
    alike = all(base["conditions"].get(key) == candidate["conditions"].get(key) for key in (*MUST_AGREE, *BITS_TOO))
    return alike and bool(base["digest"]) and base["digest"] == candidate["digest"]


def needs_no_judging(base: Measured, candidate: Measured) -> bool:
    """May the quality tier leave this cell and seed out? It is identical, and judged by the same code on the same data.

    What the measured steps did not reach (the end of an epoch, a branch after a thousand steps) is not known.
    """
    return identical(base, candidate) and bool(base["judging"]) and base["judging"] == candidate["judging"]


def rows_of(measured: Iterable[Measured]) -> list[dict[str, Any]]:
    """The quantities as rows of the tidy frame, for `Margins.check`."""
    return [_row(each, part, score) for each in measured for part, score in _quantities([each])]


def differing_conditions(base: Iterable[Measured], candidate: Iterable[Measured]) -> tuple[Differing, ...]:
    """What the two sides were measured under that differs, said once."""
    pairs: dict[tuple[str, str, str], None] = {}
    old, new = _by_place(base), _by_place(candidate)
    for key in old.keys() & new.keys():
        for seed in old[key].keys() & new[key].keys():
            one, other = (side[key][seed].get("conditions", {}) for side in (old, new))
            if not one or not other:  # its process ended before it said them
                continue
            pairs |= {(k, str(one[k]), str(other.get(k, ""))): None for k in one if one[k] != other.get(k)}
    return tuple(Differing(what=what, base=one, candidate=other) for what, one, other in sorted(pairs))


# One cell, over its seeds. --------------------------------------------------------------------------------------------

Seeds = dict[int, Measured]


def _by_place(measured: Iterable[Measured]) -> dict[Place, Seeds]:
    found: dict[Place, Seeds] = {}
    for each in measured:
        found.setdefault(_place(each), {})[each["seed"]] = each
    return found


def _place(measured: Measured, part: str = EVALUATION) -> Place:
    return Place(**measured["place"], target=measured["place"]["source"], evaluation=part)


def _of_cell(old: Seeds, new: Seeds, margins: Margins) -> list[Finding]:
    place = _place(next(iter((new or old).values())))
    whole = Finding(place=place, score="costs", kind="exact", gated=True, seeds=len(old.keys() & new.keys()))
    fine = [{seed: each for seed, each in side.items() if each["status"] == "ok"} for side in (old, new)]
    broken = {seed: each for seed, each in new.items() if each["status"] == "failed"}
    if not fine[0] and not fine[1] and broken:
        return [replace(whole, state="refused", why=_trouble(broken, "both"))]
    if not fine[0]:
        return [replace(whole, gated=False, state="appeared", why=_trouble(old, "the base"))] if fine[1] else []
    lost = [seed for seed in fine[0] if seed not in fine[1]]
    failed = {seed: new[seed] for seed in lost if seed in new and new[seed]["status"] == "failed"}
    if failed:
        return [replace(whole, state="failed", why=_trouble(failed, "the candidate"))]
    if lost:
        missing = {seed: new[seed] for seed in lost if seed in new}
        return [replace(whole, state="vanished", why=_trouble(missing, "the candidate"))]
    common = sorted(fine[0])
    pairs = [(fine[0][seed], fine[1][seed]) for seed in common]
    if reason := next(filter(None, (_refusal(*pair) for pair in pairs)), ""):
        return [replace(whole, state="refused", why=reason)]
    quantities = _quantities(each for pair in pairs for each in pair)
    rows = [_of_quantity(part, score, pairs, margins) for part, score in quantities if score != DIGEST]
    return [row for row in [*rows, _of_digest(pairs, margins)] if row is not None]


def _trouble(measured: Seeds, where: str) -> str:
    if not measured:
        return f"not in {where}"
    seed, each = next(iter(measured.items()))
    return f"{each['status']} in {where} at seed {seed}: {each['reason']}"


def _refusal(base: Measured, candidate: Measured) -> str:
    """Why counts of the two say nothing of the code."""
    if base["ruler"] != candidate["ruler"]:
        return f"measured by another ruler: {base['ruler']} → {candidate['ruler']}"
    one, other = base["conditions"], candidate["conditions"]
    return next((f"another {key}: {one[key]} → {other[key]}" for key in MUST_AGREE if one[key] != other[key]), "")


def _quantities(measured: Iterable[Measured]) -> list[tuple[str, str]]:
    """(part, score) of all that any of them has, the digest last."""
    fine = [each for each in measured if each.get("status") == "ok"]
    found = {(part, score): None for each in fine for part, costs in each["costs"].items() for score in costs}
    return [*found, *([(EVALUATION, DIGEST)] if fine else [])]


def _row(measured: Measured, part: str, score: str) -> dict[str, Any]:
    """The keys of the tidy frame that margins read."""
    place = measured["place"]
    said = {"evaluation": part, "score": score, "target": place["source"], "unit": UNITS.get(score, "")}
    return {**place, **said, "better": "lower", "primary": False, "role": "ranks"}


def _of_quantity(part: str, score: str, pairs: Sequence[tuple[Measured, Measured]], margins: Margins) -> Finding | None:
    margin = margins.of(_row(pairs[0][1], part, score))
    if margin.direction == "none":
        return None
    old, new = ([each["costs"].get(part, {}).get(score) for each in side] for side in zip(*pairs, strict=True))
    finding = _finding(pairs, part, score, margin)
    if None in old:
        return replace(finding, state="appeared", why="not in the base")
    if None in new:
        return replace(finding, state="vanished", why="not in the candidate")
    base, now = sum(old) / len(old), sum(new) / len(new)
    finding = replace(finding, base=base, candidate=now, change=now - base, margin=margin.of(base))
    found = of_counts(finding, list(zip(old, new, strict=True)))
    changed = _calls_that_differ(*pairs[0], part, score)
    return replace(found, why="; ".join(filter(None, (found.why, changed))))


def _finding(pairs: Sequence[tuple[Measured, Measured]], part: str, score: str, margin: Margin) -> Finding:
    return Finding(
        place=_place(pairs[0][1], part),
        score=score,
        unit=UNITS.get(score, ""),
        direction=margin.direction,  # type: ignore[arg-type]
        kind="exact",
        gated=margin.gate,
        seeds=len(pairs),
        reason=margin.reason,
    )


def _calls_that_differ(base: Measured, candidate: Measured, part: str, kind: str) -> str:
    """`aten.clone.default +2, aten.add.Tensor +1`, the largest changes first; "" for what are no calls."""
    old, new = (each["calls"].get(part, {}).get(kind, {}) for each in (base, candidate))
    changes = {name: new.get(name, 0) - old.get(name, 0) for name in {*old, *new}}
    moved = sorted(((n, name) for name, n in changes.items() if n), key=lambda each: (-abs(each[0]), each[1]))
    more = f" and {len(moved) - SHOWN} more" if len(moved) > SHOWN else ""
    return ", ".join(f"{name} {n:+g}" for n, name in moved[:SHOWN]).replace("-", "−") + more


def _of_digest(pairs: Sequence[tuple[Measured, Measured]], margins: Margins) -> Finding | None:
    """Told, unless a margins file gates it: then the candidate must be the same to the last bit."""
    margin = margins.of(_row(pairs[0][1], EVALUATION, DIGEST))
    if margin.direction == "none":
        return None
    finding = _finding(pairs, EVALUATION, DIGEST, margin)
    if all(identical(*pair) for pair in pairs):
        return replace(
            finding, verdict="equivalent", non_inferior=True, why="identical", base=0.0, candidate=0.0, change=0.0,
            low=0.0, high=0.0, margin=0.0,
        )  # fmt: skip
    other = [k for k in BITS_TOO if any(old["conditions"].get(k) != new["conditions"].get(k) for old, new in pairs)]
    if other:
        return replace(finding, state="refused", why=f"bits depend on what differs: {', '.join(other)}")
    parts = [
        part
        for part in dict.fromkeys(key for pair in pairs for each in pair for key in each["digest"])
        if any(old["digest"].get(part) != new["digest"].get(part) for old, new in pairs)
    ]
    number = float(len(parts))
    said = replace(finding, verdict="worse" if margin.gate else "undecided", why=f"other bits: {', '.join(parts)}")
    return replace(said, base=0.0, candidate=number, change=number, low=number, high=number, margin=0.0)
