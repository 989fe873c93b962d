"""One column of a comparison: gains over the baseline with corrected p, and what is best within noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.metrics.statistics import Difference, holm, overlaps
from harness.report.differences import difference
from harness.report.entries import Column, Entry
from harness.report.numbers import ALPHA
from harness.report.series import Series, baselines_of, untrained_selves, worth_a_row


def compared(entries: list[Entry], column: Column, series: Sequence[Series]) -> list[Entry]:
    """Add to one column's entries what training gave, their gains over the baseline with corrected p, and the marks."""
    if column.teaches:
        entries = _with_untrained(entries, column, series)
    if not column.ranked:
        return entries
    return _with_marks(_with_gains(entries, column, series), column, series)


def _with_untrained(entries: list[Entry], column: Column, series: Sequence[Series]) -> list[Entry]:
    """What training gave: each method beside itself as it was initialised."""
    selves = untrained_selves(series)
    of = {one.index: entry for one, entry in zip(series, entries, strict=True)}
    found = []
    for index, entry in of.items():
        before = of[selves[index].index] if index in selves else None
        if before is None or not entry.by_seed or not before.by_seed:
            found.append(entry)
            continue
        gain = improvement(entry, before, column)
        found.append(replace(entry, before_after=_in_common(before.by_seed, entry.by_seed), learned=gain))
    return found


def _in_common(before: Mapping[int, float], after: Mapping[int, float]) -> tuple[float, float] | None:
    """The means of both over the seeds that both have."""
    common = before.keys() & after.keys()
    if not common:
        return None
    return sum(before[seed] for seed in common) / len(common), sum(after[seed] for seed in common) / len(common)


def _with_gains(entries: list[Entry], column: Column, series: Sequence[Series]) -> list[Entry]:
    """Only models and pretext tasks are tested: all others are shown for scale and cost no power."""
    baselines = baselines_of(series)
    of = {one.index: entry for one, entry in zip(series, entries, strict=True)}
    gains = [
        improvement(entry, of[baselines[index].index], column) if index in baselines else None
        for index, entry in of.items()
    ]
    tested = {one.index for one in worth_a_row(series) if one.competes}
    ps = holm([gain.p if gain and index in tested else None for index, gain in zip(of, gains, strict=True)])
    return [
        replace(entry, gain=gain, p=p, tested=index in tested)
        for (index, entry), gain, p in zip(of.items(), gains, ps, strict=True)
    ]


def improvement(a: Entry, b: Entry, column: Column) -> Difference | None:
    """By how much a is better than b, whichever direction is better; None where they share no seed.

    Where it was looked at several times, its interval and its p are those of this look: below 0.05 is below the level.
    """
    first, second = (a, b) if column.better == "higher" else (b, a)
    found = difference(first, second, proportion=column.proportion, level=1 - column.alpha)
    if found is None or found.p is None or column.alpha == ALPHA:
        return found
    return replace(found, p=min(1.0, found.p * ALPHA / column.alpha), alpha=column.alpha)


def _with_marks(entries: list[Entry], column: Column, series: Sequence[Series]) -> list[Entry]:
    """Of those on equal terms, mark what is worse than the first, and the first as best if all others are.

    By Holm's p over them. What is not told apart is left unmarked, and so is all with one seed: nothing is known of
    other seeds.
    """
    shown = {one.index for one in worth_a_row(series)}
    place = {one.index: i for i, one in enumerate(series)}
    scored = [one for one, entry in zip(series, entries, strict=True) if entry.estimate and one.index in shown]
    running = [place[one.index] for one in on_equal_terms([one for one in scored if not one.is_pretrained])]
    if len(running) < 2:
        return entries
    sign = 1 if column.better == "higher" else -1
    best = max(running, key=lambda i: sign * entries[i].estimate.mean)  # type: ignore[union-attr]
    others = [i for i in running if i != best]
    gaps = [improvement(entries[best], entries[i], column) for i in others]
    ps = holm([gap.p if gap else None for gap in gaps])
    marked, told = list(entries), 0
    for i, gap, p in zip(others, gaps, ps, strict=True):
        if gap is not None and gap.n > 1 and not within_noise(entries[best], entries[i], gap, p):
            marked[i] = replace(entries[i], mark="worse")
            told += 1
    if told == len(others):
        marked[best] = replace(entries[best], mark="best")
    return marked


def on_equal_terms(series: Sequence[Series]) -> list[Series]:
    """Those that can be ranked: who saw inputs alone in training.

    Where none did and methods have all seen one and the same thing beside, such as captions, all of those.
    """
    alone = [one for one in series if not one.uses]
    if alone or len({one.uses for one in series}) > 1 or not all(one.competes for one in series):
        return alone
    return list(series)


def within_noise(best: Entry, other: Entry, gap: Difference | None, p: float | None) -> bool:
    assert best.estimate is not None
    assert other.estimate is not None
    if p is not None:
        return p >= ALPHA
    if gap is not None and gap.effect == 0:
        return True
    if gap is not None and gap.low is not None:
        return gap.low <= 0
    return bool(overlaps(best.estimate, other.estimate))
