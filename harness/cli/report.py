"""`harness report`: make the report of a run again, or one report of several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.table import Shown, checked_table
from harness.errors import RequestError


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders that `harness bench` made.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the report. [default: the run's own; needed for several runs]")
    ] = None,
    table: Shown = "none",
) -> None:
    """Make the report of one run again, or merge several runs into one report.

    Runs that agree in provenance pool their seeds. Where they differ, rows carry the name of their run, and the report
    says in what they differ.
    """
    shown = checked_table(table)
    for run in runs:
        if not (run / "cells").is_dir():
            what = "is no run" if run.exists() else "does not exist"
            raise RequestError(f"{run} {what}: give a folder that `harness bench` made, with a folder 'cells' in it")
    if len(runs) > 1 and out is None:
        raise RequestError(f"{len(runs)} runs need a folder for their report: add --out DIR")
    folders = list(dict.fromkeys(run.resolve() for run in runs))
    if len(folders) < len(runs):
        raise RequestError("the same run is given twice: leave one of them out")

    from harness.report import build, build_and_show
    from harness.store import RunFolder

    target = out or runs[0]
    if shown == "none":
        build([RunFolder(run) for run in runs], target)
    else:
        from rich.console import Console

        Console().print(build_and_show([RunFolder(run) for run in runs], target, everything=shown == "all"))
    typer.echo(f"Report: {(target / 'index.html').resolve().as_uri()}")
