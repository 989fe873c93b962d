"""A file of captions beside its images: `captions.csv` or `captions.jsonl`, read row by row.

    file,caption,label,split                    {"file": "a.png", "caption": "a red kite", "label": "kite"}
    a.png,"a red kite, high up",kite,train

`file` is seen from the folder of the captions. `label` and `split` (train or test) may be left out, in all rows alike.
All bad rows are reported at once, by their line.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cleaned import one_line
from harness.errors import DatasetMissing, RequestError, did_you_mean

NAMES = ("captions.csv", "captions.jsonl")
REQUIRED, OPTIONAL = ("file", "caption"), ("label", "split")
SPLITS = ("train", "test")
SHOWN = 3  # bad rows that an error message names
_ONE = ": an image has one caption"


@dataclass(frozen=True, kw_only=True)
class CaptionedImage:
    """One row."""

    file: Path
    caption: str
    label: str = ""  # "": the file has no labels
    split: str = "train"


class BadRow(ValueError):
    """What is wrong with one row."""


def captions_file(folder: Path) -> Path | None:
    """The one file of captions in `folder`, if there is one."""
    found = [folder / name for name in NAMES if (folder / name).is_file()]
    if len(found) > 1:
        raise RequestError(f"{folder} has both {' and '.join(NAMES)}: remove one of them")
    return found[0] if found else None


def read_captions(path: Path) -> list[CaptionedImage]:
    """All rows of `path`. Raises one RequestError that counts the bad ones and names the first few by line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is not text in UTF-8 ({error.reason} at byte {error.start}): save it so") from error
    except OSError as error:
        raise DatasetMissing(f"{path} cannot be read ({error.strerror}): name a folder with captions.csv") from error
    rows = _json_lines(text) if path.suffix == ".jsonl" else _csv_rows(text, path)
    good: list[CaptionedImage] = []
    bad: list[str] = []
    lines: dict[Path, int] = {}  # of each file's first row
    columns: set[str] = set()  # of the first good row
    for line, row in rows:
        try:
            image = _checked(row, columns, path.parent)
            if image.file in lines:
                raise BadRow(f"{image.file.name} has a caption already, in line {lines[image.file]}")
        except BadRow as problem:
            bad.append(f"line {line} ({problem})")
            continue
        columns = columns or set(_given(row))
        lines[image.file] = line
        good.append(image)
    if bad:
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise RequestError(
            f"{path}: {len(bad)} of {len(good) + len(bad)} rows are bad, mend or remove {', '.join(bad[:SHOWN])}{more}"
        )
    if not good:
        raise RequestError(f"{path} has no rows: write one for each image, with {' and '.join(REQUIRED)}")
    return good


def _csv_rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
    """(line on which it starts, cells by column) of each row that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    start = 1
    while True:
        row: dict[str, Any] | BadRow
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield start, BadRow(f"{error}")
            start = reader.line_num + 1
            continue
        if cells is None:
            return
        if header is None and cells:
            header = _checked_header([cell.strip() for cell in cells], path)
        elif header is not None and cells:
            row = dict(zip(header, cells, strict=False))
            fits = len(cells) == len(header)
            yield start, row if fits else BadRow(f"{len(cells)} cells, expected {len(header)}: quote commas")
        start = reader.line_num + 1


def _checked_header(header: list[str], path: Path) -> list[str]:
    expected = f"expected {' and '.join(REQUIRED)}, and {' and '.join(OPTIONAL)} if you like"
    missing = [name for name in REQUIRED if name not in header]
    unknown = [name for name in header if name not in REQUIRED + OPTIONAL]
    if missing:
        raise RequestError(f"{path} has the columns {', '.join(header)} and no {missing[0]}: {expected}")
    if unknown:
        raise RequestError(f"{path} has a column '{unknown[0]}': {did_you_mean(unknown[0], REQUIRED + OPTIONAL)}")
    if len(set(header)) < len(header):
        raise RequestError(f"{path} has a column twice in {', '.join(header)}: {expected}")
    return header


def _json_lines(text: str) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
    """(line, object) of each line that is not empty."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, BadRow(f"no JSON: {error}")
            continue
        yield number, row if isinstance(row, dict) else BadRow(f"a {type(row).__name__}, expected a JSON object")


def _given(row: dict[str, Any] | BadRow) -> list[str]:
    """The columns that a row has."""
    return [name for name in (*REQUIRED, *OPTIONAL) if not isinstance(row, BadRow) and name in row]


def _checked(row: dict[str, Any] | BadRow, columns: set[str], folder: Path) -> CaptionedImage:
    """The row as a record; raises BadRow."""
    if isinstance(row, BadRow):
        raise row
    for name in row:
        if name not in REQUIRED + OPTIONAL:
            raise BadRow(f"unknown key '{name}', {did_you_mean(name, REQUIRED + OPTIONAL)}")
    for name in REQUIRED:
        if name not in row:
            raise BadRow(f"no {name}")
    if columns and set(row) != columns:
        odd = sorted(columns ^ set(row))[0]
        raise BadRow(f"{'with' if odd in row else 'without'} {odd}, unlike the rows before")
    for name, value in row.items():
        if not (isinstance(value, str) or value is None or (name == "label" and type(value) is int)):
            raise BadRow(f"{name} is a {type(value).__name__}, expected text{_ONE if name == 'caption' else ''}")
    cells = {name: str(value).strip() for name, value in row.items() if value is not None}
    for name in row:
        if not cells.get(name):
            raise BadRow(f"empty {name}")
    if cells.get("split", "train") not in SPLITS:
        raise BadRow(f"split '{cells['split']}', expected {' or '.join(SPLITS)}")
    file = _placed(folder, cells.pop("file"))
    if not file.is_file():
        raise BadRow(f"there is no image {file.relative_to(folder) if file.is_relative_to(folder) else file}")
    return CaptionedImage(file=file, **cells)


def _placed(folder: Path, name: str) -> Path:
    """The file of that name below the folder, spelled without `..`. Raises BadRow for one that is elsewhere."""
    home = os.path.abspath(folder)
    meant = os.path.relpath(os.path.join(home, name), home) if "\0" not in name else os.pardir
    if os.path.isabs(name) or meant.split(os.sep)[0] == os.pardir:
        raise BadRow(f"'{one_line(name)[:80]}' is not in the folder of the captions")
    return folder / meant
