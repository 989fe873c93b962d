"""A row of a comparison in words: one text for every writer, so that a terminal, a page and a pull request agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.gate.findings import Comparison, Differing, Finding, Place
from harness.report.numbers import number, probability, signed

_SETTINGS = ("backbone", "device", "precision", "budget", "train")
NOT_FAR = 3.0  # margins that a drawing reaches to each side


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row as texts; empty where there is nothing to say."""

    finding: Finding
    method: str
    score: str
    base: str
    candidate: str
    change: str
    interval: str
    margin: str
    n: str  # seeds, and test examples where what each got was kept
    says: str  # the verdict, or why there is none
    why: str


def lines(findings: Iterable[Finding], comparison: Comparison) -> list[Line]:
    """Rows in words, in their order."""
    named = labels(comparison)
    return [_line(finding, named[finding.place]) for finding in findings]


def labels(comparison: Comparison) -> dict[Place, str]:
    """What to call the method of each place: its name, and those of its settings that are not the same for all."""
    places = list(dict.fromkeys(finding.place for finding in comparison.findings))
    varying = [key for key in _SETTINGS if len({getattr(place, key) for place in places if getattr(place, key)}) > 1]
    return {
        place: " · ".join([place.method, *(v for key in varying if (v := getattr(place, key)))]) for place in places
    }


def _line(f: Finding, method: str) -> Line:
    return Line(
        finding=f,
        method=method,
        score=f.judged,
        base=_value(f.base, f.unit),
        candidate=_value(f.candidate, f.unit),
        change=_change(f, f.change),
        interval=_interval(f),
        margin=_margin(f),
        n=f"{f.seeds} × {f.examples:,}" if f.examples else str(f.seeds or ""),
        says=says(f),
        why=why(f),
    )


def says(f: Finding) -> str:
    """The verdict; where there is none, what became of the row."""
    if f.state != "compared":
        return f.state
    return "undecided, non-inferior" if f.verdict == "undecided" and f.non_inferior else f.verdict


def why(f: Finding) -> str:
    """Why, with p where something was shown, and what this design can show where nothing was."""
    parts = [f.why]
    if f.verdict in ("worse", "better") and f.p is not None:
        parts.append(probability(f.p))
    if f.outcome == "inconclusive" and f.detectable is not None:
        parts.append(f"a loss of {_size(f, f.detectable)} would be shown")
    if f.reason:
        parts.append(f"declared: {f.reason}")
    return "; ".join(filter(None, parts))


def sentence(f: Finding, level: float) -> str:
    """All of a row in one line, for an annotation or a test report."""
    if f.state in ("vanished", "appeared", "refused") or f.change is None:
        return f"{f.name} {says(f)}: {why(f)}"
    interval = f" {100 * level:g} % interval {_interval(f)}," if f.low is not None and f.low != f.high else ""
    moved = f"{_value(f.base, f.unit)} → {_value(f.candidate, f.unit)}"
    moved += f" ({_change(f, f.change)},{interval} margin {_margin(f)})"
    return f"{f.name} {says(f)}: {moved}: {why(f)}"


def differs(one: Differing) -> str:
    """`torch: 2.9.0 → 2.10.0 (vae)`."""
    of = f" ({', '.join(one.methods)})" if one.methods else ""
    return f"{one.what}: {one.base or 'nothing'} → {one.candidate or 'nothing'}{of}"


def shown(comparison: Comparison, *, everything: bool = False) -> tuple[list[Finding], list[str]]:
    """The rows that a reader wants first, and a line for each kind that is folded away."""
    if everything:
        return list(comparison.findings), []
    unchanged = [f for f in comparison.findings if f.gated and is_unchanged(f)]
    rows = [f for f in comparison.findings if f not in unchanged and (f.gated or _is_news(f))]
    rest = [f for f in comparison.findings if not f.gated and f not in rows]
    folded = [f"identical or unchanged: {len(unchanged)} of the gated rows"] if unchanged else []
    counts = [(state, sum(f.state == state for f in rest)) for state in ("appeared", "vanished", "refused")]
    of_them = ", ".join(f"{n} {state}" for state, n in counts if n)
    told = f"not gated and left out (--all): {len(rest)}{f', of them {of_them}' if of_them else ''}"
    return rows, [*folded, *([told] if rest else [])]


def is_unchanged(f: Finding) -> bool:
    """Is there no difference at all?"""
    return f.state == "compared" and f.verdict == "equivalent" and f.change == 0 and f.low == f.high


def _is_news(f: Finding) -> bool:
    """Is it worth a line though it is not gated?"""
    return f.state == "failed" or f.verdict in ("worse", "better")


def meaning(comparison: Comparison) -> str:
    """How to read the table, in one sentence."""
    level = f"{100 * comparison.rule.level:g} %"
    return (
        f"change: candidate − base with its {level} interval over n seeds (× test examples, where it was kept what "
        "each got); equivalent: the interval lies within ± margin; worse: shown (p corrected by Holm over the gated "
        "rows), by more than half the margin, and a loss of the margin not excluded; non-inferior: that is excluded"
    )


# Numbers. -------------------------------------------------------------------------------------------------------------


def _value(value: float | None, unit: str) -> str:
    return "" if value is None else number(value, unit)


def _change(f: Finding, value: float | None) -> str:
    if value is None:
        return ""
    return _percent(value) if f.kind == "paired-time" else signed(value, f.unit)


def _interval(f: Finding) -> str:
    if f.low is None or f.high is None:
        return ""
    return f"[{_change(f, f.low)}, {_change(f, f.high)}]"


def _margin(f: Finding) -> str:
    if f.margin is None:
        return ""
    return _size(f, f.margin) if f.kind == "paired-time" or f.margin >= 1000 else f"{f.margin:.3g}"


def _size(f: Finding, value: float) -> str:
    return f"{100 * value:.3g} %" if f.kind == "paired-time" else number(value, f.unit)


def _percent(value: float) -> str:
    return f"{100 * value:+.1f} %".replace("-", "−")


def in_margins(f: Finding) -> tuple[float, float, float] | None:
    """The gain with its interval in margins, cut to NOT_FAR, for a drawing; None where there is none.

    Positive is better, whichever direction is better for the score.
    """
    if f.change is None or f.low is None or f.high is None or not f.margin or f.direction == "same":
        return None
    ends: Sequence[float] = (f.low, f.change, f.high)
    if f.direction == "lower":
        ends = [-end for end in reversed(ends)]
    low, middle, high = (max(-NOT_FAR, min(NOT_FAR, end / f.margin)) for end in ends)
    return low, middle, high
