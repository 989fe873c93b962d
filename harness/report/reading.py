"""A comparison in words: a sentence for the score that leads, and a line for each other question that was asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.metrics.statistics import Difference, Estimate, holm
from harness.report.digits import Digits
from harness.report.entries import Column, Entry
from harness.report.numbers import interval, number, signed
from harness.report.ranking import improvement, on_equal_terms, within_noise
from harness.report.series import BASELINE
from harness.report.summary import Comparison, Row
from harness.report.verdicts import verdict


def reading(comparison: Comparison) -> str:
    """The comparison in one sentence, as a careful reader would put it."""
    column = comparison.leading_column()
    learned = on_equal_terms([row.series for row in comparison.rows if row.series.competes])
    if column is None or comparison.leading is None or not ordered(comparison, comparison.leading):
        elsewhere = any(row.series.is_pretrained for row in comparison.rows)
        apart = "references and what was trained elsewhere" if elsewhere else "references"
        alone = f"apart from {apart}, none sees {comparison.counted} alone"
        why = "see what was skipped and what failed" if learned else alone
        return f"On {comparison.title} no method could be ranked: {why}."
    return f"By {column.name} on {comparison.title}, {_said(comparison, comparison.leading)}."


def answers(comparison: Comparison) -> list[str]:
    """A line for each question beside the leading score's that some method has an answer to."""
    lines = []
    for index, column in enumerate(comparison.columns):
        if index == comparison.leading or not column.asks or not ordered(comparison, index):
            continue
        said = _said(comparison, index) if column.ranked else _told(comparison, index)
        lines.append(f"{column.asks} ({column.name}): {said}.")
    return lines


def _told(comparison: Comparison, index: int) -> str:
    """What each method got of what is not ranked; then what saw labels, for scale."""
    column = comparison.columns[index]
    learned = ordered(comparison, index)
    known = {row.series.index for row in learned}
    labelled = [
        row
        for row in comparison.rows
        if row.series.uses and row.entries[index].estimate and row.series.index not in known
    ]
    digits = comparison.digits[index]
    parts = [
        listed([_with_value(row, index, column, digits) for row in rows], most=8)
        for rows in (learned, labelled)
        if rows
    ]
    return "; with labels, for scale: ".join(parts)


def _with_value(row: Row, index: int, column: Column, digits: Digits) -> str:
    estimate = row.entries[index].estimate
    assert estimate is not None
    value = signed(estimate.mean, digits) if column.is_gain else number(estimate.mean, digits)
    return " ".join(filter(None, (row.series.label, value, interval(estimate, digits))))


def ordered(comparison: Comparison, index: int) -> list[Row]:
    """The rows that learned here on equal terms and have a number in this column, best first."""
    sign = 1 if comparison.columns[index].better == "higher" else -1
    scored = [row for row in comparison.rows if row.series.competes and row.entries[index].estimate]
    alike = {one.index for one in on_equal_terms([row.series for row in scored])}
    scored = [row for row in scored if row.series.index in alike]
    return sorted(scored, key=lambda row: -sign * row.entries[index].estimate.mean)  # type: ignore[union-attr]


def gaps_to_first(rows: Sequence[Row], index: int, column: Column) -> list[tuple[Difference | None, float | None]]:
    """By how much the first of `ordered` rows is better than each of the others, with p corrected over them."""
    gaps = [improvement(rows[0].entries[index], row.entries[index], column) for row in rows[1:]]
    return list(zip(gaps, holm([gap.p if gap else None for gap in gaps]), strict=True))


def _said(comparison: Comparison, index: int) -> str:
    """What a column says: references that win first; then the first method, against the others, the untrained
    backbone and itself untrained; and what others got that saw more.
    """
    column, digits, gains = comparison.columns[index], comparison.digits[index], comparison.gain_digits[index]
    rows = ordered(comparison, index)
    first = rows[0].entries[index]
    ahead = _references_ahead(comparison, index, rows)
    bound = comparison.bound(index)
    if bound is not None:
        end = "best" if bound == (column.high if column.better == "higher" else column.low) else "worst"
        every = "both" if len(rows) == 2 else f"all {len(rows)}"
        said = f"{every} methods have the {end} value that is possible, {number(bound, digits)}: "
        parts = [f"{said}it tells nothing apart here"]
    else:
        against = _against_others(rows, index, column, digits, gains)
        parts = [f"of the methods, {against}" if ahead and len(rows) > 1 else against]
        parts += [*_seen(rows), *_gained(first, gains), *_trained(first, digits, gains)]
    return "; ".join([*ahead, *parts, *_for_scale(comparison, index, rows)])


def _references_ahead(comparison: Comparison, index: int, rows: Sequence[Row]) -> list[str]:
    """The references without labels that have a better mean than the best method, the untrained backbone too.

    Whether the best of them differs from it is what the marks say.
    """
    column, first = comparison.columns[index], rows[0].entries[index]
    sign = 1 if column.better == "higher" else -1
    assert first.estimate is not None
    found = [
        (sign * row.entries[index].estimate.mean, row)  # type: ignore[union-attr]
        for row in comparison.rows
        if row.series.is_reference and not row.series.uses and row.entries[index].estimate
    ]
    ahead = [row for mean, row in sorted(found, key=lambda one: -one[0]) if mean > sign * first.estimate.mean]
    if not ahead:
        return []
    digits = comparison.digits[index]
    texts = listed([f"{row.series.label} ({number(row.entries[index].estimate.mean, digits)})" for row in ahead])  # type: ignore[union-attr]
    references = "the reference" if len(ahead) == 1 else "the references"
    beaten = "every method" if len(rows) > 1 else "the only method"
    unsure = len(first.by_seed or {}) > 1 and not first.mark
    told = f", not told apart from {'the best of them' if len(rows) > 1 else 'it'}" if unsure else ""
    return [f"{references} {texts} {'is' if len(ahead) == 1 else 'are'} ahead of {beaten}{told}"]


def _seen(rows: Sequence[Row]) -> Iterator[str]:
    """What the ranked rows saw beside examples, where that is not nothing: all of them the same."""
    if rows[0].series.uses:
        yield f"{('it', 'both')[len(rows) - 1] if len(rows) < 3 else 'all of them'} saw {rows[0].series.uses} too"


def _against_others(rows: Sequence[Row], index: int, column: Column, digits: Digits, gains: Digits) -> str:
    name, first = rows[0].series.label, rows[0].entries[index]
    assert first.estimate is not None
    value = _with_interval(first.estimate, digits)
    others = [row.entries[index] for row in rows[1:]]
    if not others:
        return f"{name} has {value}"
    close = [
        (row.series.label, gap, p)
        for row, (gap, p) in zip(rows[1:], gaps_to_first(rows, index, column), strict=True)
        if within_noise(first, row.entries[index], gap, p)
    ]
    if not close and len(first.by_seed or {}) > 1:
        all_of = "the other" if len(others) == 1 else f"all {len(others)} others"
        return f"{name} is best with {value}: it differs from {all_of}"
    if not close:
        return f"{name} leads with {value} at one seed, which says nothing of others"
    rivals = listed([label for label, _, _ in close])
    return f"{name} leads with {value}, not told apart from {rivals}{_why(close, gains)}"


def _why(close: Sequence[tuple[str, Difference | None, float | None]], gains: Digits) -> str:
    """What is known of the rival that is farthest from the first of those that cannot be told from it."""
    tested = [(label, gap, p) for label, gap, p in close if gap is not None]
    if not tested:
        return ""
    label, gap, p = max(tested, key=lambda one: one[1].effect)
    says = verdict(gap, p, gains)
    if says is None:
        return ""
    return f" ({says})" if len(close) == 1 else f" (for {label}, {says})"


def _with_interval(estimate: Estimate, digits: Digits) -> str:
    return " ".join(filter(None, (number(estimate.mean, digits), interval(estimate, digits))))


def _gained(entry: Entry, gains: Digits) -> Iterator[str]:
    """Against the untrained backbone."""
    if entry.gain is None:
        return
    size, says = signed(entry.gain.effect, gains), entry.says(gains)
    if says is None:
        yield f"{size} over {BASELINE}"
    elif says.word == "differs":
        yield f"it is {'above' if entry.gain.effect > 0 else 'below'} {BASELINE} by {size} ({says})"
    else:
        yield f"{size} over {BASELINE} ({says})"


def _trained(entry: Entry, digits: Digits, gains: Digits) -> Iterator[str]:
    """Against itself before training, by the seeds of both: what training did not give is not praised."""
    if entry.before_after is None or entry.learned is None:
        return
    before, gave = number(entry.before_after[0], digits), entry.learned
    same_for_all = gave.low is None and gave.n > 1  # the same difference at all seeds
    if gave.effect > 0 and gave.n == 1:
        yield f"{signed(gave.effect, gains)} over the {before} before training, at one seed"
    elif gave.effect > 0 and (same_for_all or (gave.low is not None and gave.low > 0)):
        yield f"training gave {signed(gave.effect, gains)} of it ({before} before)"
    else:
        yield f"training did not give it: {before} before"


def _for_scale(comparison: Comparison, index: int, ranked: Sequence[Row]) -> list[str]:
    """What labels or captions would give, and what comes from elsewhere."""
    digits = comparison.digits[index]
    known = {row.series.index for row in ranked}
    elsewhere: list[str] = []
    informed: dict[str, list[str]] = {}  # by what they saw
    for row in comparison.rows:
        estimate = row.entries[index].estimate
        if estimate is None:
            continue
        text = f"{row.series.label} ({number(estimate.mean, digits)})"
        if row.series.is_pretrained:
            elsewhere.append(text)
        elif row.series.uses and row.series.index not in known:
            informed.setdefault(row.series.uses, []).append(text)
    texts = [f"with {what}, for scale: {listed(rows)}" for what, rows in informed.items()]
    return [*texts, *([f"trained elsewhere, for scale: {listed(elsewhere)}"] if elsewhere else [])]


def listed(words: Sequence[str], most: int = 5) -> str:
    """Words in a sentence; of more than `most`, the first ones and how many there are besides.

    >>> listed(["a", "b", "c"]), listed(list("abcdefg"), most=3)
    ('a, b and c', 'a, b and 5 more')
    """
    if len(words) > most:
        words = [*words[: most - 1], f"{len(words) - most + 1} more"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
