"""Two runs, one comparison: every score that both have is judged by its margin, and what cannot be is said.

A row whose candidate fails where its base does not is a regression, whatever its other seeds say: comparing survivors
hides a collapse. A row that vanished, or that is refused, cannot be compared; both count if the row is gated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from harness.gate import pairing
from harness.gate.findings import Comparison, Finding, Policy, ordered
from harness.gate.identity import Identity, losses_of
from harness.gate.margins import Margins
from harness.gate.pairing import Pair, Row
from harness.gate.provenance import differing
from harness.gate.questions import Asked, decided
from harness.gate.rows import RowMaker, listed
from harness.gate.sides import Side
from harness.metrics.non_inferiority import Decision, Rule, decide


def compare(
    base: Side,
    candidate: Side,
    margins: Margins | None = None,
    *,
    across: Sequence[str] = (),
    policy: Policy | None = None,
    accept_vanished: bool = False,
    check: bool = True,
) -> Comparison:
    """Judge a candidate by its base.

    across: settings that may differ between the two, of pairing.SETTINGS. policy: what undecided gated rows do, before
    what the margins say. accept_vanished: rows that only the base has are told, and do not count. check: margins may
    name nothing but what these runs have, or what is installed.
    """
    margins = margins or Margins()
    if check:
        margins.check(_scored(base, candidate))
    first, second = pairing.units(base), pairing.units(candidate)
    pairs = list(pairing.paired(first, second))
    identity = Identity((base, candidate), (losses_of(first), losses_of(second)), margins)
    maker = RowMaker(margins, identity, (pairing.fingerprints_of(first), pairing.fingerprints_of(second)), across)
    findings = judged([row for pair in pairs for row in maker.rows(pair)], margins.rule)
    if accept_vanished:
        findings = [replace(f, gated=False) if f.state == "vanished" else f for f in findings]
    return Comparison(
        base=base.name,
        candidate=candidate.name,
        findings=tuple(ordered(findings)),
        differing=differing(pairs),
        notes=tuple(_notes(base, candidate, pairs, maker.told, across)),
        rule=margins.rule,
        policy=policy or margins.policy or "warn",
    )


def judged(rows: Sequence[Finding | Asked], rule: Rule) -> list[Finding]:
    """All rows with their verdicts. Gated rows are one family of the correction, all others another one."""
    decisions: dict[int, Decision] = {}
    for gated in (True, False):
        family = {i: row for i, row in enumerate(rows) if isinstance(row, Asked) and row.finding.gated == gated}
        decisions |= dict(zip(family, decide([row.question for row in family.values()], rule), strict=True))
    return [decided(row, decisions[i]) if isinstance(row, Asked) else row for i, row in enumerate(rows)]


def _scored(*sides: Side) -> list[Row]:
    keys = ["score", "evaluation", "method", "source", "target"]
    rows: list[Any] = [row for side in sides for row in side.frame[keys].drop_duplicates().to_dict("records")]
    return rows


def _notes(base: Side, candidate: Side, pairs: Sequence[Pair], told: int, across: Sequence[str]) -> Iterable[str]:
    """What a reader must know beside the rows."""
    for side in (base, candidate):
        yield from side.damaged
        if side.missing and not side.damaged:
            yield f"{side.name} lacks {side.missing} cells of its request: it was interrupted"
    old = {seed for pair in pairs if pair.base for seed in pair.base.seeds}
    new = {seed for pair in pairs if pair.candidate for seed in pair.candidate.seeds}
    alone = [f"seeds {listed(old - new)} only in {base.name}"] if old - new else []
    alone += [f"seeds {listed(new - old)} only in {candidate.name}"] if new - old else []
    if alone:
        yield f"{', '.join(alone)}: compared is what both have"
    both = [(pair.base.place, pair.candidate.place) for pair in pairs if pair.base and pair.candidate]
    changed = [name for name in across if any(getattr(one, name) != getattr(other, name) for one, other in both)]
    if changed:
        yield f"compared across another {', '.join(changed)}, as asked"
    if told:
        yield f"without a better direction, or no question here, and not judged: {told}"
