"""The gate: two versions of the code, measured here and now, and one comparison of all that was found.

    exact     costs that can be counted, of every cell and seed of the request
    time      training steps and encoding, interleaved, of every cell at its first seed
    quality   both versions bench the request, and their scores are paired

A tier that is cheap comes before one that is dear, and says what the next may leave out: where no source that a cell
depends on differs, nothing can; where the bits of its first steps agree, one seed is benched, and the others only if
that one differs in the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, RequestError
from harness.gate import exact_findings, quality
from harness.gate.checkouts import Side, dependencies_of, two_versions
from harness.gate.findings import Comparison, Differing, Finding, Place, Policy, ordered
from harness.gate.margins import TRAINING, Margins
from harness.gate.pairs import ArmFailed, Kind, Plan, Work, measure
from harness.gate.quality import Words
from harness.gate.sequential import TimeRule
from harness.gate.timings import PARTS, TIME, row
from harness.suite import overridden, read_suite

SCORES_OF_TRAINING = (
    "loss", "steps", "examples", "images", "seconds", "examples_per_second", "parameters", "flops", "share_of_peak",
)  # fmt: skip
TIERS = ("exact", "time", "quality")
RULER = Path(__file__).with_name("exact.py")
MINUTES = 10.0
News = Callable[[str], None]
Measured = Mapping[str, Any]  # what harness.gate.exact writes of one cell


@dataclass(frozen=True, kw_only=True)
class GateRequest:
    """What is asked of the gate."""

    root: Path = Path(".")  # in the candidate's working folder
    base: str | None = None  # a revision, or a folder with code; None: where the branch left the default branch
    suite: Path | None = None  # what is measured, as `harness bench` takes it
    words: Words = field(default_factory=dict)  # of a request; they win over the suite
    tiers: tuple[str, ...] = TIERS
    margins: Margins = field(default_factory=Margins)
    seconds: float = 60 * MINUTES  # that the time tier may take
    policy: Policy | None = None  # what undecided gated rows do; None: what the margins say, else fail
    same: bool = False  # the base against itself: what it finds is noise
    inject: float = 0.0  # the candidate is slowed by this part of its time: the gate must fail
    base_python: Path | None = None  # of an environment where that version is installed already
    candidate_python: Path | None = None
    keep: Path | None = None  # a folder for what was measured; None: nothing is kept
    data_dir: Path | None = None

    def __post_init__(self) -> None:
        unknown = [tier for tier in self.tiers if tier not in TIERS]
        if unknown or not self.tiers:
            raise RequestError(f"no tier '{', '.join(unknown)}': tiers are {', '.join(TIERS)}")
        if self.seconds <= 0:
            raise RequestError(f"the gate needs time: --minutes above 0, not {self.seconds / 60:g}")
        if not 0 <= self.inject < 10:
            raise RequestError(f"--inject is a part of the time, such as 5%, not {self.inject:g}")
        if self.inject and "time" not in self.tiers:
            raise RequestError("--inject slows the time tier, which --tiers leaves out")


def gate(request: GateRequest, news: News = lambda text: None) -> Comparison:
    """Measure base and candidate, and judge the candidate.

    news: is told in a few words what is being done. Raises RequestError for a request that cannot be carried out,
    HarnessError where a version cannot be prepared.
    """
    started = time.monotonic()
    words = _words(request)
    news("preparing both versions")
    with (
        tempfile.TemporaryDirectory(prefix="harness-gate-results-") as scratch,
        two_versions(
            request.root, request.base, same=request.same, base_python=request.base_python,
            candidate_python=request.candidate_python,
        ) as (base, candidate),
    ):  # fmt: skip
        results = (request.keep or Path(scratch)).resolve()
        results.mkdir(parents=True, exist_ok=True)
        found = _Gate(request, words, (base, candidate), results, news).all()
    policy = request.policy or request.margins.policy or "fail"
    spent = f"measured in {time.monotonic() - started:.0f} s"
    return replace(found, policy=policy, notes=(*found.notes, spent))


def _words(request: GateRequest) -> dict[str, Any]:
    """One request for both versions. References are rows to look at, and a gate looks at what changed."""
    words = overridden(read_suite(request.suite) if request.suite else {}, request.words)
    if "tune" in words:
        raise RequestError("a gate compares methods with the parameters that they have: leave out 'tune'")
    if str(words.get("seeds", "")).startswith("auto"):
        raise RequestError("both versions need the same seeds: say how many, such as --seeds 3")
    kept = {word: value for word, value in words.items() if word not in ("launcher", "trackers", "monitor")}
    return {"references": [], "datasets": ["digits"], **kept}


@dataclass(frozen=True)
class _Gate:
    request: GateRequest
    words: Words
    sides: tuple[Side, Side]
    results: Path
    news: News

    def all(self) -> Comparison:
        findings: list[Finding] = []
        differing: list[Differing] = []
        notes = [*self._of_preparing()]
        base, candidate = self.counts()
        self.check_margins([*base, *candidate])
        if "exact" in self.request.tiers:
            findings += exact_findings.exact_findings(base, candidate, self.request.margins)
            differing += exact_findings.differing_conditions(base, candidate)
        if "time" in self.request.tiers:
            findings += self.times(base, candidate)
        if "quality" in self.request.tiers:
            judged, told = quality.judged(
                self.words, self.sides, (base, candidate), self.request.margins, self.results, self.request.data_dir,
                self.news, skip="exact" in self.request.tiers,
            )  # fmt: skip
            findings += judged.findings
            differing += judged.differing
            notes += [*judged.notes, *told]
        return Comparison(
            base=self.sides[0].name,
            candidate=self.sides[1].name,
            findings=tuple(ordered(findings)),
            differing=tuple(dict.fromkeys(differing)),
            notes=tuple(notes),
            rule=self.request.margins.rule,
        )

    def check_margins(self, cells: Sequence[Measured]) -> None:
        """Say what a margins file names wrongly before anything that takes long."""
        rows = exact_findings.rows_of(cells)
        for cell in cells:
            place = {**cell["place"], "target": cell["place"]["source"]}
            rows += [{**place, "evaluation": part, "score": TIME} for part in PARTS.values()]
            rows += [{**place, "evaluation": TRAINING, "score": score} for score in SCORES_OF_TRAINING]
        self.request.margins.check(rows)

    def _of_preparing(self) -> list[str]:
        notes = []
        if self.request.same:
            notes.append("the base against itself: whatever is found is noise")
        if self.request.inject:
            notes.append(f"the candidate was slowed by {100 * self.request.inject:g} % on purpose: this must fail")
        one, other = (set(dependencies_of(side.folder)) for side in self.sides)
        if one != other and not self.request.base_python:
            changed = ", ".join(sorted(one ^ other))
            notes.append(f"dependencies changed ({changed}): both ran with those that are installed here")
        return notes

    # The exact tier. --------------------------------------------------------------------------------------------------

    def counts(self) -> tuple[list[Measured], list[Measured]]:
        """What every cell costs on both sides; without the exact tier, which cells there are."""
        request = self.results / "request.json"
        request.write_text(json.dumps(dict(self.words)), encoding="utf-8")
        listed = [self._listed(side, request) for side in self.sides]
        if "exact" not in self.request.tiers:
            return listed[0], listed[1]
        found: tuple[list[Measured], list[Measured]] = ([], [])
        most = max(map(len, listed))
        for at in range(most):
            self.news(f"counting costs, cell {at + 1} of {most}")
            running = [
                (which, cells[at], _start(self.sides[which], self._exact(which, request, at)))
                for which, cells in enumerate(listed)
                if at < len(cells)
            ]
            for which, cell, process in running:
                found[which].append(self._counted(which, cell, process, at))
        for side, measured in zip(("base", "candidate"), found, strict=True):
            (self.results / f"exact-{side}.json").write_text(json.dumps(measured, indent=1), encoding="utf-8")
        return found

    def _listed(self, side: Side, request: Path) -> list[Measured]:
        """The cells of the request as this version expands it, each with its place in that list."""
        out = self.results / "cells.json"
        process = _start(side, [str(request), "-o", str(out), "--list", *self._data()])
        _, said = process.communicate()
        if process.returncode:
            what = RequestError if process.returncode == 2 else HarnessError
            raise what(f"{side.name} cannot carry the request out: {_last_line(said)}")
        cells: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))
        return [{**cell, "index": at} for at, cell in enumerate(cells)]

    def _exact(self, which: int, request: Path, at: int) -> list[str]:
        out = self._out(which, at)
        return [str(request), "-o", str(out), "--cell", str(at), *self._data()]

    def _out(self, which: int, at: int) -> Path:
        return self.results / f"costs-{which}-{at}.json"

    def _data(self) -> list[str]:
        return ["--data-dir", str(self.request.data_dir.resolve())] if self.request.data_dir else []

    def _counted(self, which: int, cell: Measured, process: subprocess.Popen[str], at: int) -> Measured:
        _, said = process.communicate()
        out = self._out(which, at)
        if process.returncode == 0 and out.exists():
            measured: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
            out.unlink()
            return {**measured, "index": at}
        reason = f"its process ended with exit code {process.returncode}: {_last_line(said)}"
        return {**cell, "status": "failed", "reason": reason}

    # The time tier. ---------------------------------------------------------------------------------------------------

    def times(self, base: Sequence[Measured], candidate: Sequence[Measured]) -> list[Finding]:
        """A row for each cell's training step and encoding, each cell at its first common seed."""
        jobs = [
            (old, new, kinds)
            for old, new in _first_seeds(base, candidate)
            if (
                kinds := tuple(kind for kind in PARTS if self._gates(new, kind) and _has(old, kind) and _has(new, kind))
            )
        ]
        family = max(1, sum(self._margin(new, kind).gate for _, new, kinds in jobs for kind in kinds))
        deadline = time.monotonic() + self.request.seconds
        rows: list[Finding] = []
        for at, (old, new, kinds) in enumerate(jobs):
            seconds = max(1.0, deadline - time.monotonic()) / (len(jobs) - at)
            rows += self._timed(old, new, kinds, family, seconds)
        return rows

    def _gates(self, measured: Measured, kind: Kind) -> bool:
        return self._margin(measured, kind).gate

    def _margin(self, measured: Measured, kind: Kind) -> Any:
        place = measured["place"]
        said = {"evaluation": PARTS[kind], "score": TIME, "target": place["source"], "unit": "s"}
        return self.request.margins.of({**place, **said, "better": "lower", "primary": False, "role": "ranks"})

    def _timed(
        self, old: Measured, new: Measured, kinds: tuple[Kind, ...], family: int, seconds: float
    ) -> list[Finding]:
        place = new["place"]
        title = f"{place['method']} on {place['source']}"
        places = {kind: Place(**place, target=place["source"], evaluation=PARTS[kind]) for kind in kinds}
        margins = {kind: self._margin(new, kind) for kind in kinds}
        size = min(margin.size for margin in margins.values())
        work = Work(
            request=self.words,
            kinds=kinds,
            data_root=_data_root(self.request.data_dir),
            threads=int(self.words.get("threads", 1)),
            inject=self.request.inject,
        )
        base, candidate = (
            replace(side.version, cell=each["index"]) for side, each in zip(self.sides, (old, new), strict=True)
        )
        try:
            found = measure(
                base, candidate, work, TimeRule(margin=size, family=family), seconds=seconds, plan=Plan(),
                log=self.results / "times.log",
                news=lambda pairs: self.news(f"timing {title}: {max(map(len, pairs.values()))} pairs of processes"),
            )  # fmt: skip
        except ArmFailed as reason:
            refused = [
                Finding(
                    place=places[kind], score=TIME, unit="s", direction="lower", kind="paired-time", gated=True,
                    state="refused", why=str(reason),
                )
                for kind in kinds
            ]  # fmt: skip
            return refused
        raw = {kind: [[pair.base, pair.candidate] for pair in each.pairs] for kind, each in found.items()}
        with (self.results / "times.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"place": place, "seconds_per_step": raw}) + "\n")
        return [row(each, places[kind], reason=margins[kind].reason) for kind, each in found.items()]


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


def _start(side: Side, arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Count with the gate's own ruler, in a process of one version."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    return subprocess.Popen(
        [str(side.python), "-P", str(RULER), *arguments],
        cwd=side.folder,
        env={**kept, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _data_root(data_dir: Path | None) -> Path:
    from harness.loading import data_root

    return data_root(str(data_dir) if data_dir else None).resolve()


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
