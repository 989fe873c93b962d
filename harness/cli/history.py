"""`harness history`: how far did many gates together go? Creep that stays below the margin of each is seen here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.writing import format_of, write_file
from harness.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    from harness.gate.creep import Row
    from harness.gate.history import Damaged, Record

FORMATS = {"terminal": "", "markdown": ".md", "json": ".json", "csv": ".csv"}
EPILOG = """
\b
Examples:
  harness gate --base HEAD~1 --history gates.jsonl      after each merge: adds one line to the file
  harness history gates.jsonl
  harness history gates.jsonl --fail-on-drift           for a nightly job
  harness history gates.jsonl --row 'vae on digits' --since 1a2b3c4
  harness compare runs/main runs/mine --format json > found.json; harness history gates.jsonl --add found.json

\b
Changes of consecutive gates are added up, on each machine alone: times as ratios, scores in their unit. A row drifts
if the stretch from some commit until now is worse by more than the margin, and its interval excludes 0.

\b
Exit codes: 0, 1 with --fail-on-drift where a row drifts, 2 bad request.
"""


def history(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The history, as `harness gate --history` keeps it.")],
    add: Annotated[
        list[Path] | None,
        typer.Option(help="Add a comparison made on this machine (--format json) first; repeatable, the oldest first."),
    ] = None,
    commit: Annotated[
        str | None, typer.Option(help="Of the candidate that is added. [default: what the comparison says, or HEAD]")
    ] = None,
    base: Annotated[str | None, typer.Option(help="Commit of its base. [default: what the comparison says]")] = None,
    threads: Annotated[int, typer.Option(min=1, help="That the comparison that is added was measured with.")] = 1,
    row: Annotated[str, typer.Option(help="Only rows with this in their name.")] = "",
    since: Annotated[
        str, typer.Option(help="Only gates after that of this commit: what changed up to it is accepted.")
    ] = "",
    fail_on_drift: Annotated[
        bool, typer.Option("--fail-on-drift", help="Exit with 1 where a row drifted beyond its margin.")
    ] = False,
    format: Annotated[str, typer.Option(help=f"What is printed: {', '.join(FORMATS)}.")] = "terminal",
    out: Annotated[
        list[Path] | None,
        typer.Option(help="Write a file too, in the format of its ending: .md, .json, .csv; repeatable."),
    ] = None,
) -> None:
    """Follow every row over many gates: its changes added up, where it moved, whether it crept beyond its margin."""
    if format not in FORMATS:
        raise RequestError(f"no format '{format}': {did_you_mean(format, FORMATS)}")
    formats = [format_of(each, FORMATS) for each in out or ()]
    if not add and (commit or base):
        raise RequestError("--commit and --base are of a comparison that is added: say which, with --add")
    if add and len(add) > 1 and (commit or base):
        raise RequestError("--commit and --base are of one comparison: add several one by one")

    from harness.gate import history as kept
    from harness.gate.creep import rows

    for record in [_record(each, commit, base, threads) for each in add or ()]:
        kept.add(file, record)
    read = kept.read(file)
    if not read.records:
        said = f"; {read.damaged[0]}" if read.damaged else ""
        raise RequestError(f"{file} holds no gate{said}: `harness gate --history {file}` adds one")
    found = rows(read.records, since=_known(since, read.records))
    shown = [one for one in found if row.casefold() in one.name.casefold()]
    if row and not shown:
        names = [one.name for one in found]
        raise RequestError(f"no row has '{row}' in its name: {did_you_mean(row, names)}")
    if not shown:
        raise RequestError(f"{file} holds no gate that counts{f' after {since}' if since else ''}: nothing to follow")
    for each, kind in zip(out or (), formats, strict=True):
        write_file(each, _text(shown, read.damaged, kind))
    if format == "terminal":
        from rich.console import Console

        from harness.gate.history_tables import TerminalHistory

        Console().print(TerminalHistory(shown, read.damaged))
    else:
        print(_text(shown, read.damaged, format), end="")
    if fail_on_drift and any(one.drift for one in shown):
        raise typer.Exit(1)


def _record(file: Path, commit: str | None, base: str | None, threads: int) -> Record:
    """What a file holds, as made here and now."""
    import json
    from datetime import UTC, datetime

    from harness.gate.history import commits_of, record_of, this_machine
    from harness.machine import git_commit

    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no JSON"
        raise RequestError(f"cannot read {file} ({why}): give what `harness compare --format json` wrote") from None
    if not isinstance(content, dict):
        raise RequestError(f"{file} is no comparison: give what `harness compare --format json` wrote")
    try:
        of_candidate = commit or commits_of(content)[1] or git_commit()
        if not of_candidate:
            raise RequestError(f"which commit is the candidate of {file}? Say it with --commit")
        return record_of(content, commit=of_candidate, base=base, when=datetime.now(UTC), machine=this_machine(threads))
    except (RequestError, KeyError, TypeError) as error:
        raise RequestError(f"cannot add {file}: {error}") from None


def _known(since: str, records: tuple[Record, ...]) -> str:
    from harness.gate.creep import same

    commits = [record.commit for record in records]
    if since and not any(same(since, each) for each in commits):
        raise RequestError(f"--since {since}: no gate has that candidate (7 characters or more of a commit): "
                           f"{did_you_mean(since, [each[:9] for each in commits])}")  # fmt: skip
    return since


def _text(rows: list[Row], damaged: tuple[Damaged, ...], kind: str) -> str:
    from harness.gate import history_tables

    if kind == "csv":
        return history_tables.as_csv(rows)
    return history_tables.markdown(rows, damaged) if kind == "markdown" else history_tables.as_json(rows, damaged)
