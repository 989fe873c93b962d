"""A comparison in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from harness.metrics.statistics import Estimate
from harness.report.entries import Column, Entry
from harness.report.numbers import interval, number, signed, verdict
from harness.report.ranking import improvement, within_noise
from harness.report.series import BASELINE
from harness.report.summary import Comparison


def reading(comparison: Comparison) -> str:
    """The comparison in one sentence, as a careful reader would put it."""
    column = comparison.leading_column()
    learned = [row for row in comparison.rows if row.series.competes and not row.series.uses]
    scored = [row for row in learned if comparison.leading_entry(row).estimate]
    if column is None or not scored:
        elsewhere = any(row.series.is_pretrained for row in comparison.rows)
        apart = "references and what was trained elsewhere" if elsewhere else "references"
        alone = f"apart from {apart}, none sees {comparison.counted} alone"
        why = "see what was skipped and what failed" if learned else alone
        return f"On {comparison.title} no method could be ranked: {why}."
    first = comparison.leading_entry(scored[0])
    assert first.estimate is not None
    parts = [
        f"By {column.name} on {comparison.title}, {scored[0].series.label} is the best method with "
        f"{_with_interval(first.estimate, column.unit)}{_gain_text(first, column.unit)}{_before(first, column.unit)}"
    ]
    close = [row.series.label for row in scored[1:] if _indistinct(first, comparison.leading_entry(row), column)]
    if close:
        parts.append(f"{_listed(close)} cannot be told apart from it")
    parts += _reference_texts(comparison, column, first.estimate)
    return "; ".join(parts) + "."


def _indistinct(first: Entry, other: Entry, column: Column) -> bool:
    if first.mark and other.mark:
        return True
    gap = improvement(first, other, column)
    return within_noise(first, other, gap, gap.p if gap else None)


def _with_interval(estimate: Estimate, unit: str) -> str:
    return " ".join(filter(None, (number(estimate.mean, unit), interval(estimate, unit))))


def _gain_text(entry: Entry, unit: str) -> str:
    if entry.gain is None:
        return ""
    says = verdict(entry.gain, entry.p, unit)
    size = signed(entry.gain.effect, unit)
    if entry.gain.effect <= 0:
        return f", which is not above {BASELINE} ({'; '.join(filter(None, (size, says)))})"
    return f", {size} over {BASELINE}" + (f" ({says})" if says else "")


def _before(entry: Entry, unit: str) -> str:
    """A readout with more features than another is ahead of it before anything was learned."""
    if entry.untrained is None:
        return ""
    return f"; before training it had {_with_interval(entry.untrained, unit)}"


def _reference_texts(comparison: Comparison, column: Column, first: Estimate) -> list[str]:
    """Label-free references that are above the best method, what labels would give, and what comes from elsewhere."""
    sign = 1 if column.better == "higher" else -1
    above, labelled, elsewhere = [], [], []
    for row in comparison.rows:
        estimate = comparison.leading_entry(row).estimate
        if estimate is None:
            continue
        text = f"{row.series.label} ({number(estimate.mean, column.unit)})"
        if row.series.is_pretrained:
            elsewhere.append(text)
        elif row.series.uses:
            labelled.append(text)
        elif row.series.is_reference and not row.series.is_baseline and sign * (estimate.mean - first.mean) > 0:
            above.append(text)
    texts = [f"above it {'stands' if len(above) == 1 else 'stand'} {_listed(above)}"] if above else []
    texts += [f"with labels, for scale: {_listed(labelled)}"] if labelled else []
    return [*texts, *([f"trained elsewhere, for scale: {_listed(elsewhere)}"] if elsewhere else [])]


def _listed(words: Sequence[str], most: int = 5) -> str:
    """Words in a sentence; of more than `most`, the first ones and how many there are besides.

    >>> _listed(["a", "b", "c"]), _listed(list("abcdefg"), most=3)
    ('a, b and c', 'a, b and 5 more')
    """
    if len(words) > most:
        words = [*words[: most - 1], f"{len(words) - most + 1} more"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
