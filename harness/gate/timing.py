"""Both versions timed at every cell of a request: a row for its training step, and one for its encoding."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.gate.counting import Asked, Measured
from harness.gate.findings import Finding, Place
from harness.gate.margins import Margin, Margins
from harness.gate.pairs import ArmFailed, Kind, Work, measure
from harness.gate.sequential import TimeRule
from harness.gate.timings import PARTS, TIME, row


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Times the cells of a request, each at its first common seed."""

    asked: tuple[Asked, Asked]  # of base and candidate
    margins: Margins
    seconds: float  # for all of them together
    inject: float  # part of its time by which the candidate is slowed
    results: Path
    data_dir: Path | None
    news: Callable[[str], None]

    def rows(self, base: Sequence[Measured], candidate: Sequence[Measured]) -> list[Finding]:
        """A row for each cell's training step and encoding, each cell at its first common seed."""
        jobs = [(old, new, self._kinds(old, new)) for old, new in _first_seeds(base, candidate)]
        jobs = [(old, new, kinds) for old, new, kinds in jobs if kinds]
        family = sum(len(kinds) for _, _, kinds in jobs)
        deadline = time.monotonic() + self.seconds
        found: list[Finding] = []
        for at, (old, new, kinds) in enumerate(jobs):
            seconds = max(1.0, deadline - time.monotonic()) / (len(jobs) - at)
            found += self._timed(old, new, kinds, family, seconds)
        return found

    def refused(self, candidate: Sequence[Measured]) -> list[Finding]:
        """A stored time says nothing here: each gated row of it is refused."""
        why = "a stored baseline has no times: they are compared interleaved, on one machine (--base REV runs it here)"
        places = {json.dumps(each["place"], sort_keys=True): each for each in candidate}.values()
        return [_refused(each, kind, why) for each in places for kind in self._kinds(each)]

    def _kinds(self, *measured: Measured) -> tuple[Kind, ...]:
        """What is timed of a cell: what its margins gate and every side does."""
        return tuple(
            kind
            for kind in PARTS
            if self._margin(measured[-1], kind).gate and all(_has(each, kind) for each in measured)
        )

    def _margin(self, measured: Measured, kind: Kind) -> Margin:
        place = measured["place"]
        said = {"evaluation": PARTS[kind], "score": TIME, "target": place["source"], "unit": "s"}
        return self.margins.of({**place, **said, "better": "lower", "primary": False, "role": "ranks"})

    def _timed(
        self, old: Measured, new: Measured, kinds: tuple[Kind, ...], family: int, seconds: float
    ) -> list[Finding]:
        place = new["place"]
        title = f"{place['method']} on {place['source']}"
        margins = {kind: self._margin(new, kind) for kind in kinds}
        rules = {kind: TimeRule(margin=margin.size, family=family) for kind, margin in margins.items()}
        work = Work(
            request=self.asked[1].words,
            kinds=kinds,
            data_root=_data_root(self.data_dir),
            threads=int(self.asked[1].words.get("threads", 1)),
            inject=self.inject,
        )
        base, candidate = (
            replace(asked.side.version, cell=each["index"], request=asked.words)
            for asked, each in zip(self.asked, (old, new), strict=True)
        )
        try:
            found = measure(
                base, candidate, work, rules, seconds=seconds,
                log=self.results / "times.log",
                news=lambda pairs: self.news(f"timing {title}: {max(map(len, pairs.values()))} pairs of processes"),
            )  # fmt: skip
        except ArmFailed as reason:
            return [_refused(new, kind, str(reason)) for kind in kinds]
        raw = {kind: [[pair.base, pair.candidate] for pair in each.pairs] for kind, each in found.items()}
        with (self.results / "times.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"place": place, "seconds_per_step": raw}) + "\n")
        return [row(each, _place(new, kind), reason=margins[kind].reason) for kind, each in found.items()]


def _place(measured: Measured, kind: Kind) -> Place:
    return Place(**measured["place"], target=measured["place"]["source"], evaluation=PARTS[kind])


def _refused(measured: Measured, kind: Kind, why: str) -> Finding:
    return Finding(
        place=_place(measured, kind), score=TIME, unit="s", direction="lower", kind="paired-time", gated=True,
        state="refused", why=why,
    )  # fmt: skip


def _first_seeds(base: Sequence[Measured], candidate: Sequence[Measured]) -> list[tuple[Measured, Measured]]:
    """Of every cell that both have, the first seed, as (base, candidate)."""
    old = {(json.dumps(each["place"], sort_keys=True), each["seed"]): each for each in base}
    found: dict[str, tuple[Measured, Measured]] = {}
    for each in candidate:
        place = json.dumps(each["place"], sort_keys=True)
        if (place, each["seed"]) in old:
            found.setdefault(place, (old[place, each["seed"]], each))
    return list(found.values())


def _has(measured: Measured, kind: Kind) -> bool:
    """Does the method do this? What was not counted is tried."""
    if "status" not in measured:
        return True
    return measured["status"] == "ok" and PARTS[kind] in measured["costs"]


def _data_root(data_dir: Path | None) -> Path:
    from harness.loading import data_root

    return data_root(str(data_dir) if data_dir else None).resolve()
