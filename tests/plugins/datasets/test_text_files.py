"""A user's own texts: class folders and tables, and what is odd about them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from harness import loading
from harness.errors import DatasetMissing, HarnessError, RequestError
from harness.registry.config import resolve
from harness_plugins.datasets import text_folder, text_table

FOLDER, TABLE = text_folder.harness_dataset(), text_table.harness_dataset()
ROOT = Path("no data folder is needed")


def loaded(spec: Any, path: Path, **params: Any) -> Any:
    return loading.load(spec, resolve(spec.config, {"path": str(path), "pieces": 300, **params}, spec.name), ROOT, 0)


def folder(path: Path, each: int = 20) -> Path:
    for label in ("ham", "spam"):
        for number in range(each):
            file = path / label / f"{number:02}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"This is {label} number {number}, für alle.", encoding="utf-8")
    return path


def table(path: Path, *more: str, rows: int = 40) -> Path:
    lines = ["text,label", *(f'"a text, number {number}",{"ab"[number % 2]}' for number in range(rows)), *more]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def refusal(spec: Any, path: Path, **params: Any) -> str:
    with pytest.raises(HarnessError) as caught:
        loaded(spec, path, **params)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_class_folders(tmp_path: Path) -> None:
    data = loaded(FOLDER, folder(tmp_path))
    assert data.spec.classes == ("ham", "spam")
    assert len(data.train) + len(data.validation) + len(data.test) == 40
    for text, label in zip(data.test.inputs.strings, data.test.labels.tolist(), strict=True):
        assert text.startswith(f"This is {data.spec.classes[label]} number")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(tmp_path: Path, encoding: str) -> None:
    file = folder(tmp_path) / "ham" / "00.txt"
    file.write_text("Ein schöner Text.", encoding=encoding)
    data = loaded(FOLDER, tmp_path)
    parts = (data.train, data.validation, data.test)
    assert "Ein schöner Text." in [text for part in parts for text in part.inputs.strings]


def test_all_odd_files_are_named_in_one_line(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "ham" / "00.txt").write_bytes(b"")
    (tmp_path / "ham" / "01.txt").write_bytes("für".encode("latin-1"))
    (tmp_path / "ham" / "02.txt").write_bytes(b"GIF89a\0\0")
    (tmp_path / "ham" / "03.txt").write_text("  \n ")
    (tmp_path / "ham" / ".hidden.txt").write_bytes(b"")
    (tmp_path / "ham" / "picture.png").write_bytes(b"")
    said = refusal(FOLDER, tmp_path)
    for part in ("4 of 40 files", "00.txt (empty)", "01.txt (no text in utf-8, byte 1", "02.txt (binary", "and 1 more"):
        assert part in said


def test_an_encoding_that_is_named_is_used_and_an_unknown_one_refused(tmp_path: Path) -> None:
    folder(tmp_path)
    for file in tmp_path.rglob("*.txt"):
        file.write_text("für alle und jeden " + file.stem, encoding="latin-1")
    data = loaded(FOLDER, tmp_path, encoding="latin-1")
    assert all(text.startswith("für alle") for text in data.test.inputs.strings)
    with pytest.raises(RequestError, match="encoding=klingon is none that Python knows"):
        loaded(FOLDER, tmp_path, encoding="klingon")


def test_a_line_of_ten_megabytes_is_used(tmp_path: Path) -> None:
    (folder(tmp_path / "f") / "ham" / "00.txt").write_text("word " * 2_000_000)
    assert len(loaded(FOLDER, tmp_path / "f").train.inputs) == 29
    limit = csv.field_size_limit()
    long = table(tmp_path / "t.csv", "x" * 10_000_000 + ",a")
    assert max(len(text) for text in loaded(TABLE, long).train.inputs.strings) <= 20_000
    assert csv.field_size_limit() == limit


def test_folders_that_hold_no_classes(tmp_path: Path) -> None:
    assert "there is no folder" in refusal(FOLDER, tmp_path / "nowhere")
    assert "has no class folders" in refusal(FOLDER, tmp_path)
    (tmp_path / "ham").mkdir()
    assert "has no .txt files" in refusal(FOLDER, tmp_path)
    (tmp_path / "y" / "train").mkdir(parents=True)
    assert "name one of them" in refusal(FOLDER, tmp_path / "y")


def test_tables_of_each_kind_hold_the_same(tmp_path: Path) -> None:
    rows = [(f"a text, number {number}", "ab"[number % 2]) for number in range(40)]
    table(tmp_path / "a.csv")
    (tmp_path / "a.tsv").write_text("label\ttext\n" + "\n".join(f"{label}\t{text}" for text, label in rows))
    lines = "\n\n".join(json.dumps({"text": text, "label": label, "n": 1}) for text, label in rows)
    (tmp_path / "a.jsonl").write_text(lines)
    found = [loaded(TABLE, tmp_path / f"a.{kind}") for kind in ("csv", "tsv", "jsonl")]
    assert {data.spec.classes for data in found} == {("a", "b")}
    assert len({data.train.inputs.strings for data in found}) == 1
    parts = (found[0].train, found[0].validation, found[0].test)
    assert sorted(text for part in parts for text in part.inputs.strings) == sorted(text for text, _ in rows)


def test_other_columns_and_no_labels(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv")
    file.write_text(file.read_text().replace("text,label", "review,stars"))
    assert loaded(TABLE, file, text="review", label="stars").spec.classes == ("a", "b")
    bare = loaded(TABLE, file, text="review", label="")
    assert (bare.spec.classes, bare.train.labels) == ((), None)
    assert "has the column 'text' nowhere among review, stars" in refusal(TABLE, file)


def test_bad_rows_are_counted_and_named_by_line(tmp_path: Path) -> None:
    said = refusal(TABLE, table(tmp_path / "a.csv", ",a", "one,two,three", "fine,", "also fine,b"))
    for part in ("3 of 44 rows", "line 42 (empty text)", "line 43 (3 cells, expected 2", "line 44 (empty label)"):
        assert part in said
    (tmp_path / "a.jsonl").write_text('{"text": "x"\n[1]\n{"label": "a"}\n{"text": {"a": 1}, "label": "a"}\n')
    said = refusal(TABLE, tmp_path / "a.jsonl")
    for part in ("4 of 4 rows", "line 1 (no JSON", "line 2 (a list, expected a JSON object)", "line 3 (no text)"):
        assert part in said


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "is empty: write a header"),
        ("a.csv", b"text,label\n", "has no rows"),
        ("a.csv", b"text,text,label\nx,y,z", "has the column 'text' twice"),
        ("a.csv", b"\xff\x00\x81", "is no text in utf-8, byte 0"),
        ("a.csv", b"a\0b", "is binary"),
        ("a.xlsx", b"text", "is of no known kind: expected .csv, .tsv or .jsonl"),
        ("a.jsonl", b"", "has no rows"),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert said in refusal(TABLE, tmp_path / name)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    config = resolve(TABLE.config, {"path": str(tmp_path / "a.csv")}, "text-table")
    with pytest.raises(DatasetMissing, match=r"cannot be read \(No such file or directory\)"):
        TABLE.describe(config, ROOT)
    with pytest.raises(DatasetMissing, match=r"a\.csv is missing"):
        loaded(TABLE, tmp_path / "a.csv")
