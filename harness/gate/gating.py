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
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import RequestError
from harness.gate import baseline, exact_findings, history, quality
from harness.gate.baseline import Baseline
from harness.gate.checkouts import dependencies_of, two_versions
from harness.gate.counting import LONGEST, Asked, Counting, Measured, Words
from harness.gate.findings import Comparison, Differing, Finding, Policy, ordered
from harness.gate.margins import Margins
from harness.gate.timing import Timing
from harness.gate.timings import PARTS, TIME
from harness.report.frame import TRAINING, TRAINING_SCORES
from harness.suite import overridden, read_suite

TIERS = ("exact", "time", "quality")
MINUTES = 10.0
News = Callable[[str], None]


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
    timeout: float | None = None  # seconds that a cell may take; None: what counting has, and no limit for a bench
    policy: Policy | None = None  # what undecided gated rows do; None: what the margins say, else fail
    same: bool = False  # the base against itself: what it finds is noise
    inject: float = 0.0  # the candidate is slowed by this part of its time: the gate must fail
    base_python: Path | None = None  # of an environment where that version is installed already
    candidate_python: Path | None = None
    baseline: Path | None = None  # a folder where a base is stored, in the place of one that runs here
    move: bool = False  # store the candidate there if it passes
    accept: str = ""  # why it is stored there whatever the outcome
    history: Path | None = None  # a file that gets a line about what was found: `harness history`
    keep: Path | None = None  # a folder for what was measured; None: nothing is kept
    data_dir: Path | None = None

    def __post_init__(self) -> None:
        unknown = [tier for tier in self.tiers if tier not in TIERS]
        if unknown or not self.tiers:
            raise RequestError(f"no tier '{', '.join(unknown)}': tiers are {', '.join(TIERS)}")
        if self.seconds <= 0:
            raise RequestError(f"the gate needs time: --minutes above 0, not {self.seconds / 60:g}")
        if self.timeout is not None and not self.timeout > 0:
            raise RequestError(f"--timeout is a number of seconds above 0, not {self.timeout:g}")
        if not 0 <= self.inject < 10:
            raise RequestError(f"--inject is a part of the time, such as 5%, not {self.inject:g}")
        if (self.move or self.accept) and self.baseline is None:
            raise RequestError("--move and --accept store the candidate: say where, with --baseline FOLDER")
        if (self.move or self.accept) and not {"exact", "quality"} <= set(self.tiers):
            raise RequestError("a baseline holds counts and scores: --move and --accept need --tiers exact,quality")
        if self.history is not None and (self.same or self.inject):
            raise RequestError("--history keeps what changes did: leave it out with --aa and --inject")
        if self.baseline is not None and (self.base or self.same or self.inject):
            raise RequestError("--baseline is the base: leave out --base, --aa and --inject, which run one here")
        if self.inject and "time" not in self.tiers:
            raise RequestError("--inject slows the time tier, which --tiers leaves out")


def gate(request: GateRequest, news: News = lambda text: None) -> Comparison:
    """Measure base and candidate, and judge the candidate.

    news: is told in a few words what is being done. Raises RequestError for a request that cannot be carried out,
    HarnessError where a version cannot be prepared.
    """
    started = time.monotonic()
    words = _words(request)
    stored = _stored(request)
    policy = request.policy or request.margins.policy or "fail"
    news("preparing both versions")
    with (
        tempfile.TemporaryDirectory(prefix="harness-gate-results-") as scratch,
        two_versions(
            request.root, request.base, same=request.same, base_python=request.base_python,
            candidate_python=request.candidate_python, alone=request.baseline is not None,
        ) as (base, candidate),
    ):  # fmt: skip
        results = (request.keep or Path(scratch)).resolve()
        results.mkdir(parents=True, exist_ok=True)
        longest = request.timeout or LONGEST
        counting = Counting(results=results, data_dir=request.data_dir, news=news, seconds=longest)
        sides = (candidate,) if request.baseline is not None else (base, candidate)
        asked = counting.asked(words, *sides)
        measuring = _Gate(request, (asked[0], asked[-1]), results, news, stored)
        old, new = measuring.counts(counting)
        found = replace(measuring.compared(old, new), policy=policy)
        if request.baseline is not None and _moves(request, found, first=stored is None):
            run = results / "quality-candidate"
            baseline.moved(
                request.baseline, commit=candidate.commit, words=words, counts=new, found=found,
                run=run if run.exists() else None, reason=request.accept or ("" if stored else "the first"),
            )  # fmt: skip
            found = replace(found, notes=(*found.notes, f"{request.baseline} now holds {candidate.name}"))
        elif request.move:
            found = replace(found, notes=(*found.notes, f"{request.baseline} stays as it is: the gate did not pass"))
    found = replace(found, notes=(*found.notes, f"measured in {time.monotonic() - started:.0f} s"))
    if request.history is not None:
        machine = history.this_machine(int(words.get("threads", 1)))
        before = stored.commit if stored else base.commit
        history.append(
            request.history, found, commit=candidate.commit, base=before, when=datetime.now(UTC), machine=machine
        )
    return found


def _moves(request: GateRequest, found: Comparison, *, first: bool) -> bool:
    return bool(request.accept) or (request.move and (first or found.outcome == "pass"))


def _stored(request: GateRequest) -> Baseline | None:
    """The baseline that was asked for; None where it is to be made."""
    if request.baseline is None:
        return None
    first = not (request.baseline / baseline.FILE).exists()
    return None if first and (request.move or request.accept) else baseline.read_baseline(request.baseline)


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
    asked: tuple[Asked, Asked]  # of base and candidate; the candidate's twice where a baseline is the base
    results: Path
    news: News
    stored: Baseline | None = None

    def compared(self, base: Sequence[Measured], candidate: Sequence[Measured]) -> Comparison:
        """All tiers, by what every cell costs."""
        findings: list[Finding] = []
        differing: list[Differing] = []
        notes = [*self._of_preparing()]
        self._check_margins([*base, *candidate])
        if "exact" in self.request.tiers:
            findings += exact_findings.exact_findings(base, candidate, self.request.margins)
            differing += exact_findings.differing_conditions(base, candidate)
        if "time" in self.request.tiers and self.request.baseline is None:
            findings += self._timing().rows(base, candidate)
        elif "time" in self.request.tiers:
            findings += self._timing().refused(candidate)
        if "quality" in self.request.tiers:
            judged, told = quality.judged(
                self.asked, (base, candidate), self.request.margins, self.results, self.request.data_dir, self.news,
                skip="exact" in self.request.tiers and self.request.baseline is None, stored=self.request.baseline,
                timeout=self.request.timeout,
            )  # fmt: skip
            findings += judged.findings
            differing += judged.differing
            notes += [*judged.notes, *told]
        return Comparison(
            base=self.stored.name if self.stored else self.asked[0].side.name,
            candidate=self.asked[1].side.name,
            findings=tuple(ordered(findings)),
            differing=tuple(one for one in dict.fromkeys(differing) if one.what != "git commit"),  # the names say it
            notes=tuple(notes),
            rule=self.request.margins.rule,
        )

    def _check_margins(self, cells: Sequence[Measured]) -> None:
        """Say what a margins file names wrongly before anything that takes long."""
        rows = exact_findings.rows_of(cells)
        for cell in cells:
            place = {**cell["place"], "target": cell["place"]["source"]}
            rows += [{**place, "evaluation": part, "score": TIME} for part in PARTS.values()]
            rows += [{**place, "evaluation": TRAINING, "score": score} for score in TRAINING_SCORES]
        self.request.margins.check(rows)

    def _of_preparing(self) -> list[str]:
        notes = []
        if self.request.same:
            notes.append("the base against itself: whatever is found is noise")
        if self.request.inject:
            notes.append(f"the candidate was slowed by {100 * self.request.inject:g} % on purpose: this must fail")
        notes += [f"{each.side.name} {_lack(each)}" for each in self.asked if each.unknown]
        one, other = (set(dependencies_of(each.side.folder)) for each in self.asked)
        if one != other and not self.request.base_python:
            changed = ", ".join(sorted(one ^ other))
            notes.append(f"dependencies changed ({changed}): both ran with those that are installed here")
        return notes

    def counts(self, counting: Counting) -> tuple[Sequence[Measured], Sequence[Measured]]:
        """What every cell costs on both sides; without the exact tier, which cells there are."""
        alone, known = self.request.baseline is not None, list(self.stored.counts) if self.stored else []
        if "exact" not in self.request.tiers:
            return known if alone else self.asked[0].cells, self.asked[1].cells
        found = counting.counts(self.asked[1:] if alone else self.asked)
        for role, measured in zip(("base", "candidate")[-len(found) :], found, strict=True):
            (self.results / f"exact-{role}.json").write_text(json.dumps(measured, indent=1), encoding="utf-8")
        return known if alone else found[0], found[-1]

    def _timing(self) -> Timing:
        return Timing(
            asked=self.asked, margins=self.request.margins, seconds=self.request.seconds, inject=self.request.inject,
            results=self.results, data_dir=self.request.data_dir, news=self.news,
        )  # fmt: skip


def _lack(asked: Asked) -> str:
    """What one version does not know."""
    texts = ", ".join(f"{each['text']} ({each['word']})" for each in asked.unknown)
    return f"does not know {texts}: measured is what it knows of the request"
