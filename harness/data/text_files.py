"""Text files: class folders of .txt, and tables with a text and a label in each row. All that is bad is named at once.

A file is UTF-8, or UTF-16 or UTF-32 with a byte order mark; any other encoding is to be named. Of a text that is longer
than 20,000 characters the first so many are read: no method sees as much.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.files_below import subfolders
from harness.data.folder import SHOWN, SPLIT_NAMES
from harness.errors import DatasetMissing, RequestError

MOST = 20_000  # characters of a text
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)  # those of UTF-32 begin with those of UTF-16


class BadText(ValueError):
    """What is wrong with one file or row."""


@dataclass(frozen=True, kw_only=True)
class LabelledTexts:
    """Texts with their labels, as indices into the sorted class names; no labels where there are no classes."""

    classes: tuple[str, ...]
    texts: tuple[str, ...]
    labels: tuple[int, ...]


def check_encoding(name: str) -> None:
    """Raise ValueError unless Python knows the encoding; "" stands for UTF-8 or what a byte order mark says."""
    try:
        codecs.lookup(name or "utf-8")
    except LookupError:
        raise ValueError(f"encoding={name} is none that Python knows: try utf-8, latin-1, cp1252 or utf-16") from None


def decoded(content: bytes, encoding: str = "") -> str:
    """The text of a file's bytes. Raises BadText where that is none."""
    chosen = encoding or next((name for mark, name in MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(chosen)
    except UnicodeDecodeError as error:
        hint = "" if encoding else ": save it so, or say encoding=latin-1 or what it is"
        raise BadText(f"no text in {chosen}, byte {error.start}{hint}") from None
    if "\0" in text:
        raise BadText("binary, it has zero bytes")
    return text


def usable(text: str) -> str:
    """A text without blanks at its ends, cut where it is very long. Raises BadText where nothing is left."""
    text = text.strip()
    if not text:
        raise BadText("empty")
    return text[:MOST]


# Folders. -------------------------------------------------------------------------------------------------------------


def list_texts(folder: Path) -> tuple[tuple[str, ...], list[tuple[Path, int]]]:
    """Class names, and every .txt file below each class folder with its label; other files and hidden ones are none."""
    if not folder.is_dir():
        raise DatasetMissing(f"there is no folder {folder}: name a folder with one sub-folder per class")
    classes = subfolders(folder)
    if not classes:
        raise DatasetMissing(f"{folder} has no class folders: put the .txt files of each class into one of its own")
    if {name.lower() for name in classes} <= SPLIT_NAMES:
        raise RequestError(f"{folder} has the folders {', '.join(classes)}: name one of them, Harness splits by itself")
    found = [(file, label) for label, name in enumerate(classes) for file in _texts_below(folder / name)]
    empty = set(range(len(classes))) - {label for _, label in found}
    if empty:
        raise RequestError(f"class folder {folder / classes[min(empty)]} has no .txt files: remove or fill it")
    return tuple(classes), found


def _texts_below(folder: Path) -> list[Path]:
    found = (file for file in folder.rglob("*") if file.suffix.lower() == ".txt" and file.is_file())
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(folder).parts))


def read_folder(folder: Path, encoding: str, owner: str) -> LabelledTexts:
    """The texts of `list_texts`. Raises one RequestError that counts the bad ones and names the first few."""
    classes, found = list_texts(folder)
    texts: list[str] = []
    bad: list[str] = []
    for file, _ in found:
        try:
            texts.append(usable(decoded(file.read_bytes(), encoding)))
        except BadText as problem:
            bad.append(f"{file} ({problem})")
        except OSError as error:
            bad.append(f"{file} ({error.strerror})")
    _refuse(bad, len(found), owner, "files")
    return LabelledTexts(classes=classes, texts=tuple(texts), labels=tuple(label for _, label in found))


# Tables. --------------------------------------------------------------------------------------------------------------


def read_table(path: Path, text: str, label: str, encoding: str, owner: str) -> LabelledTexts:
    """The texts of a .csv, .tsv or .jsonl file, from the column `text`; labels from the column `label`, none if "".

    Raises one RequestError that counts bad rows and names the first few by line.
    """
    wanted = [text, label] if label else [text]
    rows: list[list[str]] = []
    bad: list[str] = []
    for line, row in _rows_of(path, encoding, wanted, owner):
        try:
            if isinstance(row, BadText):
                raise row
            rows.append([usable(_cell(row, name)) for name in wanted])
        except BadText as problem:
            bad.append(f"line {line} ({problem})")
    _refuse(bad, len(bad) + len(rows), f"{owner}: {path}", "rows")
    if not rows:
        raise RequestError(f"{owner}: {path} has no rows: write one for each text")
    names = tuple(sorted({row[1] for row in rows})) if label else ()
    place = {name: index for index, name in enumerate(names)}
    return LabelledTexts(
        classes=names, texts=tuple(row[0] for row in rows), labels=tuple(place[row[1]] for row in rows if label)
    )


def _cell(row: dict[str, Any], name: str) -> str:
    if name not in row:
        raise BadText(f"no {name}")
    value = row[name]
    if value is None:
        raise BadText(f"empty {name}")
    if not isinstance(value, (str, int, float)):
        raise BadText(f"{name} is a {type(value).__name__}, expected text")
    if not str(value).strip():
        raise BadText(f"empty {name}")
    return str(value)


def _rows_of(path: Path, encoding: str, wanted: Sequence[str], owner: str) -> Iterator[tuple[int, dict | BadText]]:
    """(line on which it starts, cells by column) of each row that is not empty."""
    try:
        content = decoded(path.read_bytes(), encoding)
    except BadText as problem:
        raise RequestError(f"{owner}: {path} is {problem}") from None
    except OSError as error:
        raise DatasetMissing(f"{owner}: {path} cannot be read ({error.strerror}): name a .csv or .jsonl file") from None
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return _json_rows(content)
    if path.suffix.lower() not in (".csv", ".tsv"):
        raise RequestError(f"{owner}: {path.name} is of no known kind: expected .csv, .tsv or .jsonl")
    return _csv_rows(content, "\t" if path.suffix.lower() == ".tsv" else ",", wanted, f"{owner}: {path}")


def _json_rows(content: str) -> Iterator[tuple[int, dict | BadText]]:
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                row = BadText(f"no JSON: {error}")
            is_row = isinstance(row, (dict, BadText))
            yield number, row if is_row else BadText(f"a {type(row).__name__}, expected a JSON object")


def _csv_rows(content: str, comma: str, wanted: Sequence[str], title: str) -> Iterator[tuple[int, dict | BadText]]:
    before = csv.field_size_limit(max(csv.field_size_limit(), len(content) + 1))  # cells of any length
    try:
        rows = list(_parsed(csv.reader(io.StringIO(content, newline=""), delimiter=comma, strict=True)))
    finally:
        csv.field_size_limit(before)
    if not rows:
        raise RequestError(f"{title} is empty: write a header and one row for each text")
    header = rows[0][1]
    if isinstance(header, BadText):
        raise RequestError(f"{title} has a header that cannot be read ({header})")
    names = [cell.strip() for cell in header]
    missing = [name for name in wanted if names.count(name) != 1]
    if missing:
        times = "twice" if missing[0] in names else "nowhere"
        raise RequestError(
            f"{title} has the column '{missing[0]}' {times} among {', '.join(names)[:120]}: say text=... and label=..."
        )
    for line, cells in rows[1:]:
        if isinstance(cells, BadText):
            yield line, cells
        elif len(cells) == len(names):
            yield line, dict(zip(names, cells, strict=True))
        else:
            yield line, BadText(f"{len(cells)} cells, expected {len(names)}: quote what has a comma")


def _parsed(reader: Any) -> Iterator[tuple[int, list[str] | BadText]]:
    """(line on which it starts, cells) of each row that is not empty."""
    start = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield start, BadText(str(error))
            cells = []
        if cells:
            yield start, cells
        start = reader.line_num + 1


def _refuse(bad: Sequence[str], among: int, owner: str, things: str) -> None:
    if bad:
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise RequestError(
            f"{owner}: {len(bad)} of {among} {things} cannot be used, mend or remove {', '.join(bad[:SHOWN])}{more}"
        )
