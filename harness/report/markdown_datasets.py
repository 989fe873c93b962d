"""Transfer between datasets, and statistics across them, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from harness.report import across, transfer
from harness.report.across import Across, Standing
from harness.report.digits import Digits
from harness.report.markup import escaped, named, table
from harness.report.numbers import interval, number, probability, signed
from harness.report.transfer import Cell, Gain, Transfer

BREAK = "<br>"  # within a cell


def transferred(tables: Sequence[Transfer]) -> Iterator[str]:
    """Which sources help which targets, and what each method got on every target from every source."""
    if tables:
        yield "## Transfer: source × target"
    for one in tables:
        if not one.leads:
            continue
        yield escaped(one.sentence)
        judged = [f"judged on {escaped(target)}" for target in one.targets]
        yield table(
            ["trained on", *judged],
            [[escaped(source), *(_helped(one, source, target) for target in one.targets)] for source in one.sources],
        )
        yield f"{escaped(one.column.name.capitalize())}, mean and 95 % interval. {transfer.MEANING}"
        yield table(
            ["method", "trained on", *judged],
            [[named(row.series), escaped(row.source), *(_cell(cell, one) for cell in row.cells)] for row in one.rows],
        )


def _helped(one: Transfer, source: str, target: str) -> str:
    lines = []
    for word, gains in one.helped(source, target):
        said = [f"{series.label} {signed(gain.difference.effect, one.gain_digits)}" for series, gain in gains]
        lines.append(f"{f'**{word}**' if word == 'helps' else word}: {escaped(', '.join(said))}")
    return BREAK.join(lines) or "–"


def _cell(cell: Cell | None, one: Transfer) -> str:
    if cell is None or cell.entry.estimate is None:
        return "failed" if cell and cell.entry.status == "failed" else "–"
    value = number(cell.entry.estimate.mean, one.digits)
    with_interval = " ".join(filter(None, (value, escaped(interval(cell.entry.estimate, one.digits)))))
    seeds = len(cell.entry.by_seed or {})
    short = [f"({seeds} of {cell.entry.planned} seeds)"] if seeds < cell.entry.planned else []
    return BREAK.join([with_interval, *(escaped(_gain(gain, one.gain_digits)) for gain in cell.gains), *short])


def _gain(gain: Gain, digits: Digits) -> str:
    says = gain.says(digits)
    return f"{signed(gain.difference.effect, digits)} over {gain.over}{f' ({says})' if says else ''}"


def over_datasets(scores: Sequence[Across]) -> Iterator[str]:
    """Ranks, aggregates and probabilities over datasets, with what was left out and what cannot be told."""
    if scores:
        yield "## Across datasets"
        yield across.MEANING
    for one in scores:
        yield f"### {escaped(one.column.name)} over {escaped(', '.join(one.scores.datasets))}"
        yield from map(escaped, one.notes)
        shares = ["P(the best is better)", "P(practically equal)", "P(this is better)"] if one.has_posterior else []
        yield table(
            ["method", "average rank", "interquartile mean", *shares, "p against the best"],
            [_standing(standing, one.digits, len(shares)) for standing in one.standings],
        )
        for drawing in one.drawings:
            yield f"![{escaped(drawing.title)}](figures/{quote(drawing.name)}.svg)"
            yield escaped(drawing.caption)


def _standing(one: Standing, digits: Digits, shares: int) -> list[str]:
    middle = " ".join(filter(None, (number(one.middle.mean, digits), escaped(interval(one.middle, digits)))))
    told = ["–"] * shares
    if one.against and shares:
        told = [f"{share:.3f}" for share in (one.against.left, one.against.rope, one.against.right)]
    return [named(one.series), f"{one.rank:.2f}", middle, *told, "–" if one.p is None else probability(one.p)]
