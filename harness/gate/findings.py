"""What a comparison found: plain records, one for each row, whatever tier it comes from. Writers read these alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from harness.metrics.non_inferiority import Rule
from harness.records import judged_by

Kind = Literal["exact", "paired-seed", "paired-time"]  # how a score is judged
Direction = Literal["higher", "lower", "same"]  # what is better; same: any change is worse
State = Literal["compared", "failed", "refused", "vanished", "appeared"]
Outcome = Literal["pass", "regression", "cannot compare", "inconclusive"]
Policy = Literal["warn", "fail"]

PASS, REGRESSION, USAGE, CANNOT_COMPARE, INCONCLUSIVE = range(5)  # exit codes
EXIT_CODES = (
    "0 pass, 1 regression (a gated row is worse, or fails in the candidate alone), 2 bad request, 3 cannot compare "
    "(a gated row vanished or was refused, or there is none), 4 inconclusive, with --undecided fail"
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a row is about; the same in both runs."""

    method: str
    evaluation: str  # "training" for what training gave and cost
    backbone: str = ""
    source: str = ""
    target: str = ""
    device: str = ""
    precision: str = ""
    budget: str = ""
    train: str = ""  # what was set of the optimisation
    labels: str = ""  # the part of the labels that the evaluation fitted to

    @property
    def judge(self) -> str:
        """The evaluation, and the part of the labels that it had where that is not all."""
        return judged_by(self.evaluation, self.labels)

    @property
    def data(self) -> str:
        """`digits`, or `digits → fashion-mnist`."""
        return self.source if self.target in ("", self.source) else f"{self.source} → {self.target}"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One row: a score of a place in both runs, and what is said of the difference."""

    place: Place
    score: str
    unit: str = ""
    direction: Direction | Literal["none"] = "none"
    kind: Kind = "paired-seed"
    gated: bool = False
    state: State = "compared"
    verdict: Literal["better", "equivalent", "worse", "undecided", ""] = ""  # of what was compared
    non_inferior: bool = False
    why: str = ""
    base: float | None = None  # means over the seeds that both have
    candidate: float | None = None
    change: float | None = None  # candidate - base, in `unit`; of paired-time a part of the base, 0.05 for 5 % more
    low: float | None = None  # the interval of the change, at the rule's level
    high: float | None = None
    margin: float | None = None  # in the unit of the change
    p: float | None = None  # corrected
    detectable: float | None = None  # the least true loss that would be called worse with 80 % power
    seeds_needed: int | None = None  # about; None: decided, or no number would decide it
    seeds: int = 0
    examples: int = 0  # test examples that the interval speaks of too; 0: of seeds alone
    reason: str = ""  # of a margin that somebody declared, or of an acknowledgement

    @property
    def name(self) -> str:
        """`vae on digits: knn accuracy`, one line that says which row it is."""
        return f"{self.place.method} on {self.place.data}: {self.judged}"

    @property
    def judged(self) -> str:
        judge = self.place.judge
        return judge if self.score in ("", judge) else f"{judge} {self.score.replace('_', ' ')}"

    @property
    def outcome(self) -> Outcome:
        """What it does to the gate, if it is gated."""
        if self.state == "failed" or self.verdict == "worse":
            return "regression"
        if self.state in ("refused", "vanished"):
            return "cannot compare"
        if self.state == "compared" and not self.non_inferior:
            return "inconclusive"
        return "pass"


@dataclass(frozen=True, kw_only=True)
class Differing:
    """Something that the two runs were not made with alike."""

    what: str  # "torch", "method source", "params"
    base: str
    candidate: str
    methods: tuple[str, ...] = ()  # that it concerns; empty: all


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that is known of a candidate against its base."""

    base: str
    candidate: str
    findings: tuple[Finding, ...]
    differing: tuple[Differing, ...] = ()
    notes: tuple[str, ...] = ()  # what a reader must know beside the rows
    rule: Rule = field(default_factory=Rule)
    policy: Policy = "warn"  # what undecided gated rows do

    def gated(self, outcome: Outcome | None = None) -> tuple[Finding, ...]:
        """The rows that count, or those of them with one outcome."""
        return tuple(f for f in self.findings if f.gated and outcome in (None, f.outcome))

    @property
    def outcome(self) -> Outcome:
        """The worst of the gated rows: a shown regression counts before what could not be compared."""
        for outcome in ("regression", "cannot compare", "inconclusive"):
            if self.gated(outcome):
                return outcome
        return "pass" if self.gated("pass") else "cannot compare"

    @property
    def exit_code(self) -> int:
        if self.outcome == "inconclusive":
            return INCONCLUSIVE if self.policy == "fail" else PASS
        return {"pass": PASS, "regression": REGRESSION, "cannot compare": CANNOT_COMPARE}[self.outcome]

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        counts = {
            outcome: len(self.gated(outcome)) for outcome in ("regression", "cannot compare", "inconclusive", "pass")
        }
        total = sum(counts.values())
        if not total:
            return "Cannot compare: no row is gated."
        words = {"regression": "worse", "cannot compare": "not comparable", "inconclusive": "undecided", "pass": "pass"}
        new = sum(row.state == "appeared" for row in self.gated("pass"))
        counts["pass"] -= new
        said = ", ".join(f"{n} {words[outcome]}" for outcome, n in counts.items() if n)
        said += f"{', ' if said else ''}{new} new" if new else ""
        head = {"pass": "Pass", "regression": "Regression", "inconclusive": "Inconclusive"}
        return f"{head.get(self.outcome, 'Cannot compare')}: of {total} gated rows {said}."

    def as_json(self) -> dict[str, Any]:
        """Plain data for machines, every row with its verdict."""
        rows = [{**asdict(f.place), **_without_place(asdict(f)), "outcome": f.outcome} for f in self.findings]
        return {
            "base": self.base,
            "candidate": self.candidate,
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "sentence": self.sentence,
            "rule": asdict(self.rule),
            "undecided": self.policy,
            "notes": list(self.notes),
            "provenance": [asdict(one) for one in self.differing],
            "rows": rows,
        }


def _without_place(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "place"}


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Gated rows first, what is bad before what is good, else as they come."""
    states = ("regression", "cannot compare", "inconclusive", "pass")
    return sorted(findings, key=lambda f: (not f.gated, states.index(f.outcome)))
