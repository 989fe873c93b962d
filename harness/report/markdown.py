"""The report as GitHub Markdown: the same ranked tables, with links to the figures and pictures beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from harness.records import Picture
from harness.report import tuning
from harness.report.content import MONITORED, Content
from harness.report.digits import Digits
from harness.report.entries import Column, Entry
from harness.report.frame import flattened
from harness.report.markdown_datasets import over_datasets, transferred
from harness.report.markup import escaped, named, table
from harness.report.numbers import interval, number, separated, signed
from harness.report.pictures import heading_of
from harness.report.series import BASELINE, ELSEWHERE
from harness.report.summary import Comparison


def markdown(content: Content, links: Mapping[Path, str]) -> str:
    """The whole report; `links` says where, relative to it, each picture file is."""
    parts = [f"# {escaped(content.title)}", *(f"*{escaped(question)}*" for question in content.questions)]
    parts += [f"> {escaped(f'{run.name}: {line}')}." for run in content.runs for line in run.notices]
    parts += map(escaped, content.transferred[:1])
    parts += ["\n".join(f"- {escaped(line)}" for line in content.transferred[1:])] if content.transferred else []
    parts += map(escaped, content.readings)
    for comparison, lines in content.answered:
        about = f"{comparison.title}: " if len(content.answered) > 1 else ""
        parts += ["\n".join(f"- {escaped(about + line)}" for line in lines)] if lines else []
    parts += map(escaped, content.tuning)
    if content.differing:
        parts.append(f"> These runs are not alike: they differ in {escaped(', '.join(content.differing))}.")
    for comparison in content.comparisons:
        parts += _comparison(comparison)
    parts += transferred(content.transfers)
    parts += over_datasets(content.across)
    parts += _tuned(content)
    parts += _spent(content)
    parts += _figures(content, links)
    parts += _troubles(content)
    parts += _origin(content)
    return "\n\n".join(parts) + "\n"


def _comparison(comparison: Comparison) -> Iterator[str]:
    yield f"## {escaped(comparison.title)}"
    over, seen = comparison.interval_over, comparison.seen
    if comparison.seeds > 1:
        marked = f"; **best** and worse are marked among all that see {seen}" if comparison.marks else ""
        yield f"Mean over seeds, 95 % interval over {over}{marked}."
    else:
        yield f"One seed, 95 % interval over {over}: it says nothing of other seeds, and nothing is marked."
    settings = comparison.settings
    if settings:
        yield escaped(f"Asked for as {', '.join(settings)}.")
    if comparison.looks:
        yield escaped(comparison.looks.text)
    if comparison.leading_part:
        yield escaped(comparison.leading_part)
    if any(row.series.is_pretrained for row in comparison.rows):
        yield ELSEWHERE
    for panel in comparison.panels():
        columns = [(i, comparison.columns[i]) for i in panel.columns]
        yield table(
            ["method", *(f"{escaped(column.name)}{_arrow(column)}{_bound(comparison, i)}" for i, column in columns)],
            [
                [named(row.series), *(_entry(row.entries[i], c, comparison.digits[i]) for i, c in columns)]
                for row in panel.rows
            ],
        )
    yield from _learned(comparison)
    gained = comparison.gained()
    if gained:
        yield f"Gain over {BASELINE}, paired by seed (positive is better; p corrected by Holm):"
        yield table(
            ["method", *(escaped(comparison.columns[i].name) for i in gained)],
            [
                [named(row.series), *(_gain(row.entries[i], comparison.gain_digits[i]) for i in gained)]
                for row in comparison.rows
                if not row.series.is_baseline and any(row.entries[i].gain for i in gained)
            ],
        )


def _learned(comparison: Comparison) -> Iterator[str]:
    """What training gave: before and after, paired by seed."""
    columns = comparison.learned()
    if not columns:
        return
    yield (
        "What training gave, paired by seed: the method as it was initialised → trained, and the gain with its 95 % "
        "interval (positive is better; not tested):"
    )
    rows = [row for row in comparison.rows if any(row.entries[i].learned for i in columns)]
    yield table(
        ["method", *(escaped(comparison.columns[i].name) for i in columns)],
        [
            [
                named(row.series),
                *(_before_after(row.entries[i], comparison.digits[i], comparison.gain_digits[i]) for i in columns),
            ]
            for row in rows
        ],
    )


def _before_after(entry: Entry, digits: Digits, gains: Digits) -> str:
    if entry.learned is None or entry.before_after is None:
        return "–"
    gave = entry.learned
    before, after = (number(value, digits) for value in entry.before_after)
    says = " ".join(filter(None, (signed(gave.effect, gains), interval(gave, gains).replace("[", "\\["))))
    common = f", {gave.n} common {'seed' if gave.n == 1 else 'seeds'}" if gave.unpaired else ""
    return f"{before} → {after} ({says}{common})"


def _arrow(column: Column) -> str:
    return {"higher": " ↑", "lower": " ↓"}.get(column.better, "") + ("" if column.ranked else " (not ranked)")


def _bound(comparison: Comparison, index: int) -> str:
    ranked = comparison.columns[index].ranked
    return " (all at the bound)" if ranked and comparison.bound(index) is not None else ""


def _entry(entry: Entry, column: Column, digits: Digits) -> str:
    if entry.estimate is None:
        return "failed" if entry.status == "failed" else "–"
    value = number(entry.estimate.mean, digits)
    parts = [
        f"**{value}**" if entry.mark == "best" else value,
        interval(entry.estimate, digits).replace("[", "\\["),
    ]
    parts.append(entry.mark)
    if entry.beside:
        parts.append(f"({', '.join(f'{word} {number(value, digits)}' for word, value in entry.beside)})")
    if entry.chance is not None and not column.ranked:
        parts.append(f"(chance {number(entry.chance, digits)})")
    if len(entry.by_seed or {}) < entry.planned:
        parts.append(f"({len(entry.by_seed or {})} of {entry.planned} seeds)")
    return " ".join(filter(None, parts))


def _gain(entry: Entry, gains: Digits) -> str:
    if entry.gain is None:
        return "–"
    value = signed(entry.gain.effect, gains)
    says = entry.says(gains)
    told = f"({says})" if says else ""
    return " ".join(filter(None, (value, interval(entry.gain, gains).replace("[", "\\["), told)))


def _tuned(content: Content) -> Iterator[str]:
    """What was tried before, and what of it was chosen."""
    if content.tunings:
        yield "## Tuning"
        yield escaped(tuning.MEANING)
    for tried in content.tunings.values():
        for one in tried.tuned:
            yield f"{escaped(one.about)}, seed {tried.seed}, {escaped(separated(one.budget))} each:"
            rows = [[escaped(setting), escaped(value), mark] for setting, value, mark in tuning.written(one)]
            yield table(["setting", f"{escaped(one.score)} on validation", ""], rows)


def _spent(content: Content) -> Iterator[str]:
    """What training cost, for each source."""
    if content.spent:
        yield "## What training cost"
    said = ""
    for costs in content.spent:
        if costs.meaning != said:
            said = costs.meaning
            yield escaped(said)
        yield f"Training on {escaped(costs.source)}:"
        yield from map(escaped, costs.unequal)
        written = [
            [named(row.series), *("–" if value is None else number(value, told) for value, told in costs.values(row))]
            for row in costs.rows
        ]
        yield table(["method", *costs.columns], written)


def _figures(content: Content, links: Mapping[Path, str]) -> Iterator[str]:
    for title, drawings, words in (
        ("Leading score", content.rankings, ""),
        ("What tuning gives", content.tuned, ""),
        ("Scores along a setting", content.sweeps, ""),
        ("Score against training cost", content.costs, ""),
        ("Along training", content.monitors, MONITORED),
        ("Training curves", content.curves, ""),
        ("Similarity of methods", content.similarities, " ".join(d.caption for d in content.similarities[:1])),
    ):
        if drawings:
            yield f"## {title}"
            yield from filter(None, (words,))
            yield from (f"![{escaped(d.title)}](figures/{quote(d.name)}.svg)" for d in drawings)
    for group in content.pictures.values():
        yield f"## {escaped(heading_of(group))}"
        for shown in group:
            link = f"figures/{quote(shown.drawing.name)}.svg" if shown.drawing else quote(links.get(shown.file, ""))
            caption = escaped(f"{shown.series.label} on {shown.where}, {shown.of_seeds}: {shown.picture.caption}")
            if shown.texts:
                rows = [[*map(escaped, row)] for row in shown.text_rows]
                yield f"{caption}\n\n{table([*map(escaped, shown.texts)], rows)}"
                continue
            yield f"{caption}\n\n![{caption}]({link})" if link else f"{caption} ({escaped(shown.fault)})"
            yield from _words(shown.picture)


def _words(picture: Picture) -> Iterator[str]:
    """What belongs beside the rows of a picture, and under its images."""
    if picture.row_names:
        yield f"Rows from above: {escaped(', '.join(picture.row_names))}."
    if picture.texts:
        yield "Row by row:\n\n" + "\n".join(f"{i}. {escaped(text)}" for i, text in enumerate(picture.texts, 1))


def _troubles(content: Content) -> Iterator[str]:
    if not content.troubles:
        return
    yield "## What gave no number, and why"
    failures = [
        [*map(escaped, (t.series.label, t.what, t.where, ", ".join(map(str, t.seeds)), t.reason))]
        for t in content.failures
    ]
    yield table(["failed", "what", "where", "seeds", "reason"], failures) if failures else "Nothing failed."
    skipped = [
        [*map(escaped, (one.reason, ", ".join(one.whats), ", ".join(s.label for s in one.series), one.where))]
        for one in content.lacking
    ]
    if skipped:
        yield "What does not apply:"
        yield table(["reason", "what", "methods", "where"], skipped)


def _origin(content: Content) -> Iterator[str]:
    yield "## Where the numbers come from"
    for run in content.runs:
        facts = [f"- {escaped(key)}: {escaped(value)}" for key, value in flattened(run.environment) if key != "command"]
        command = " ".join(str(run.environment.get("command", "")).split())
        yield "\n".join([f"**{escaped(run.name)}**", "", *([f"    {command}", ""] if command else []), *facts])
