"""What `compare` and `gate` share: how a comparison is printed, written and made known to CI."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    from harness.gate.findings import Comparison, Policy

FORMATS = {"terminal": "", "markdown": ".md", "json": ".json", "html": ".html", "junit": ".xml"}
Everything = Annotated[bool, typer.Option("--all", help="Show rows that are not gated or did not change too.")]
Printed = Annotated[str, typer.Option(help=f"What is printed: {', '.join(FORMATS)}.")]
Written = Annotated[
    list[Path] | None,
    typer.Option(help="Write a file too, in the format of its ending: .md, .json, .html, .xml (JUnit); repeatable."),
]
Github = Annotated[
    bool, typer.Option("--github", help="Print annotations, and add to the step summary of GitHub Actions.")
]


def checked_formats(format: str, out: Sequence[Path]) -> list[str]:
    """The format of what is printed, and of each file by its ending. Raises RequestError."""
    if format not in FORMATS:
        raise RequestError(f"no format '{format}': {did_you_mean(format, FORMATS)}")
    return [format, *(format_of(file, FORMATS) for file in out)]


def checked_policy(undecided: str | None) -> Policy | None:
    if undecided not in (None, "warn", "fail"):
        raise RequestError(f"--undecided is warn or fail, not '{undecided}'")
    return undecided  # type: ignore[return-value]


def write(found: Comparison, formats: Sequence[str], out: Sequence[Path], *, show_all: bool, github: bool) -> None:
    """Write the files, print, and tell GitHub."""
    for file, kind in zip(out, formats[1:], strict=True):
        write_file(file, text(found, kind, show_all=show_all))
    if formats[0] == "terminal":
        from rich.console import Console

        from harness.gate.terminal import TerminalComparison

        Console().print(TerminalComparison(found, everything=show_all))
    else:
        print(text(found, formats[0], show_all=show_all), end="")
    if github:
        from harness.gate.ci import github_annotations, write_step_summary

        write_step_summary(found, os.environ)
        print("\n".join(github_annotations(found)))


def text(found: Comparison, kind: str, *, show_all: bool) -> str:
    """In one of the formats but `terminal`."""
    if kind == "markdown":
        from harness.gate.markdown import markdown

        return markdown(found, everything=show_all)
    if kind == "html":
        from harness.gate.page import page

        return page(found)
    if kind == "junit":
        from harness.gate.ci import junit

        return junit(found)
    import json

    return json.dumps(found.as_json(), indent=1, ensure_ascii=False) + "\n"


def format_of(file: Path, formats: Mapping[str, str]) -> str:
    """By its ending, of formats with their endings. Raises RequestError."""
    endings = {ending: name for name, ending in formats.items() if ending}
    if file.suffix not in endings:
        raise RequestError(f"--out {file}: the ending says the format: {', '.join(endings)}")
    return endings[file.suffix]


def write_file(file: Path, content: str) -> None:
    """Raises RequestError where it cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"cannot write {file} ({error.strerror}): choose another --out") from None
