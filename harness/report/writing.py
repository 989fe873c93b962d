"""Writing a report: the frame as Parquet and CSV, the page, the Markdown with its figures. All the IO there is."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from harness.cleaned import one_line
from harness.confined import Outside, inside, is_file, own_folder, own_place
from harness.data.cache import write_atomically
from harness.errors import RequestError
from harness.report.content import Content, Run, gather
from harness.report.frame import write_frame
from harness.report.html import page
from harness.report.markdown import markdown
from harness.report.palette import on_paper
from harness.report.pictures import Shown, slug

PLACES = re.compile(r" --(?:out|data-dir)(?: |=)(?:'[^']*'|\S+)")  # of a command as shlex.join writes it
FILES = ("results.parquet", "results.csv", "report.md", "index.html")  # of a report
LONGEST = 180  # characters of a file's name
EARLIER = re.compile(r"\]\((figures|pictures)/([^)/]+)\)")  # what the Markdown links to of its own files


@contextlib.contextmanager
def lean_frames() -> Iterator[None]:
    """Columns of text in memory that is given back when they are gone: Arrow's own pool keeps it."""
    import pyarrow

    usual = pyarrow.default_memory_pool()
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    try:
        yield
    finally:
        pyarrow.set_memory_pool(usual)


@lean_frames()
def write_report(runs: Sequence[Any], out: Path) -> Content:
    """Make the report of these runs in `out`, see harness.report.build; RequestError where there is nothing to tell."""
    content = gather(_named([_loaded(run) for run in runs]))
    if not content.cells:
        where = ", ".join(str(run.path) for run in content.runs)
        notices = [notice for run in content.runs for notice in run.notices]
        raise RequestError("; ".join([f"{where} holds no finished cell: run `harness bench` first", *notices]))
    for run in content.runs:
        for line in run.notices:
            print(one_line(f"harness: {run.path}: {line}"), file=sys.stderr)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_frame(content.frame, out)
        _clear_earlier(out)
        shown = [one for group in content.pictures.values() for one in group if not one.drawing]  # else: a figure
        links = {one.file: _linked(one, out) for one in shown}
        _write_figures(content, out)
        _write(out / "report.md", markdown(content, links))
        _write(out / "index.html", page(content))
    except OSError as error:
        raise RequestError(f"cannot write the report to {out} ({error.strerror}): choose another folder") from None
    return content


def _write(file: Path, text: str) -> None:
    """A whole file, in the place of a link too: what that leads to stays as it is."""
    content = text.encode("utf-8", "backslashreplace")
    write_atomically(own_place(file), lambda opened: opened.write(content))


def _loaded(run: Any) -> Run:
    """A Run from a RunFolder, or from a pair of results and folder, whose environment is read where there is one."""
    from harness.store import RunFolder

    results, folder = (run[0], RunFolder(run[1])) if isinstance(run, tuple) else (run.load_cells(), run)
    name = one_line(folder.path.resolve().name)
    environment, request, tuning = _told(folder.environment()), folder.request(), folder.tuning()
    folder.looks()  # what is damaged is said
    return Run(
        name=name,
        path=folder.path,
        results=tuple(results),
        environment=environment,
        request=request,
        tuning=tuning,
        notices=tuple(folder.remarks),
    )


def _told(environment: dict[str, Any]) -> dict[str, Any]:
    """The environment, its command without where it read and wrote on that machine: no number depends on it."""
    if not isinstance(environment.get("command"), str):
        return environment
    return {**environment, "command": PLACES.sub("", environment["command"])}


def _named(runs: Sequence[Run]) -> list[Run]:
    """Runs with names that differ: where two folders are called the same, their parents are added."""
    names = [run.name for run in runs]
    return [
        replace(run, name=one_line("/".join(run.path.resolve().parts[-2:]))) if names.count(run.name) > 1 else run
        for run in runs
    ]


def _clear_earlier(out: Path) -> None:
    """Remove the figures and pictures that an earlier report in this folder shows, and nothing else that lies there."""
    earlier = out / "report.md"
    if not is_file(earlier):
        return
    for folder, link in EARLIER.findall(earlier.read_text(encoding="utf-8", errors="replace")):
        with contextlib.suppress(Outside):
            file = inside(out, f"{folder}/{slug(unquote(link))}")
            if is_file(file):
                file.unlink()


def _write_figures(content: Content, out: Path) -> None:
    """The figures as files, for the Markdown."""
    folder = own_folder(out / "figures")
    for drawing in content.drawings:
        _write(folder / f"{drawing.name}.svg", on_paper(drawing.svg))


def _linked(shown: Shown, out: Path) -> str:
    """A link from the Markdown to a picture; one that lies outside the report's folder is copied into it."""
    if not shown.content:
        return ""
    file, home = shown.file.resolve(), out.resolve()
    if file.is_relative_to(home):
        return file.relative_to(home).as_posix()
    name = slug(f"{shown.picture.name}-{shown.series.label}-{shown.source}-{shown.target}")
    copy = own_folder(home / "pictures") / f"{name[:LONGEST]}.png"
    write_atomically(own_place(copy), lambda opened: opened.write(shown.content))
    return copy.relative_to(home).as_posix()
