"""Whatever lies in a folder of images, whatever its captions say: a dataset, or one line that says what is wrong."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from any_input import counts, one_line, tried
from hypothesis import strategies as st
from PIL import Image

from harness import loading
from harness.errors import HarnessError
from harness_plugins.datasets import captioned_folder, image_folder, paired_folder

# Captions. ------------------------------------------------------------------------------------------------------------

NAMED = ("a.png", "b.png", "c.png", "d.png", "e.png", "f.png")
PIXELS = torch.arange(3 * 64).reshape(8, 8, 3).to(torch.uint8).numpy()
WORDS = st.one_of(
    st.sampled_from(
        ["", "a kite", " ", "train", "test", "cat", "dog", 'a "red" kite', "a,b", "a\nb", "\x1b[2J", "=1+1"]
    ),
    st.text(max_size=12),
)
PLACES = st.one_of(
    st.sampled_from([*NAMED, *NAMED, "sub/g.png", "./a.png", "../a.png", "/etc/passwd", "no.png", "sub", "", "a\0.png",
                     "a.png/b", "x" * 300, "captions.csv", "~", "sub/../b.png"]),
    st.text(max_size=8),
)  # fmt: skip
COLUMNS = st.one_of(
    st.permutations(["file", "caption"]),
    st.permutations(["file", "caption", "label"]),
    st.permutations(["file", "caption", "split"]),
    st.permutations(["file", "caption", "label", "split"]),
    st.lists(st.one_of(st.sampled_from(["file", "caption", "label", "split", "File", ""]), WORDS), max_size=5),
)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """A header, and rows that mostly fit it."""
    header = draw(COLUMNS)
    sensible = {"file": PLACES, "split": st.sampled_from(["train", "test", "train", "val"]), "caption": WORDS}
    sensible["label"] = st.one_of(st.sampled_from(["cat", "dog"]), WORDS)
    rows = [list(header)]
    names = draw(st.permutations(NAMED))
    for number in range(draw(st.integers(0, 7))):
        row = [draw(sensible.get(name, WORDS)) for name in header]
        if "file" in header and draw(st.booleans()):
            row[list(header).index("file")] = names[number % len(names)]
        rows.append(row[: draw(st.integers(0, len(row)))] if draw(st.integers(0, 9)) == 0 else row)
    return rows


def as_csv(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([[cell.replace("\0", "") for cell in row] for row in rows])
    return text.getvalue()


def as_lines(rows: list[list[Any]]) -> str:
    return "\n".join(json.dumps(dict(zip(rows[0], row, strict=False))) for row in rows[1:])


ENCODINGS = st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"])
ODD = st.one_of(st.binary(max_size=80), st.text(alphabet='file,caption\n\r"{}[]: a.png\0', max_size=60).map(str.encode))


@counts(60)
def test_any_captions(tmp_path: Path, count: int) -> None:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name in (*NAMED, "sub/g.png"):
        Image.fromarray(PIXELS).save(folder / name)

    @tried(count, st.one_of(tables(), tables(), tables(), ODD), st.sampled_from(["csv", "jsonl"]), ENCODINGS)
    def _(content: Any, ending: str, encoding: str) -> None:
        if not isinstance(content, bytes):
            text = as_csv(content) if ending == "csv" else as_lines(content)
            content = text.encode(encoding, "replace" if encoding == "latin-1" else "surrogatepass")
        file = folder / f"captions.{ending}"
        file.write_bytes(content)
        try:
            understood(captioned_folder, folder)
        finally:
            file.unlink()


def understood(plugin: Any, folder: Path, **words: Any) -> None:
    """A dataset all of whose images can be taken, or one line."""
    spec = plugin.harness_dataset()
    try:
        config = plugin.Config(path=folder, size=8, in_memory=False, **words)
        loading.described(spec, config, folder)
        assert len(loading.fingerprint(spec, config, folder)) == 16
        data = loading.load(spec, config, folder, seed=0)
        for split in (data.train, data.validation, data.test):
            assert split.inputs.take(torch.arange(len(split))).shape[1:] == (3, 8, 8)
        assert data.note.isprintable()
    except HarnessError as error:
        one_line(error)


# Folders. -------------------------------------------------------------------------------------------------------------


def encoded(pixels: Any, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=kind, **options)
    return file.getvalue()


def header_of(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels, and holds few."""
    import struct
    from zlib import crc32

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc32(kind + content))

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


GOOD = encoded(PIXELS, "PNG")
PICTURES = {
    "png": GOOD,
    "jpeg": encoded(PIXELS, "JPEG"),
    "grey": encoded(PIXELS[..., 0], "PNG"),
    "gif": encoded(PIXELS[..., 0], "GIF"),
    "webp": encoded(PIXELS, "WEBP"),
    "bmp": encoded(PIXELS, "BMP"),
    "tiff": encoded(PIXELS, "TIFF"),
    "sixteen bits": encoded(PIXELS[..., 0].astype(np.uint16) * 257, "PNG"),
    "one pixel": encoded(PIXELS[:1, :1], "PNG"),
    "a line": encoded(np.zeros((1, 3000, 3), np.uint8), "PNG"),
    "cut": GOOD[: len(GOOD) // 2],
    "empty": b"",
    "text": b"no picture",
    "zeros": bytes(100),
    "huge": header_of(60_000, 60_000),
    "none": header_of(0, 0),
    "a thread": header_of(1, 40_000_000),
}
NAMES = st.one_of(
    st.sampled_from([b"a.png", b"b.png", b"c.jpg", b"d.PNG", b"e.gif", b"f.webp", b"g.tif", b"h.heic", b"i.txt",
                     b".png", b"caf\xe9.png", b"\xff\xfe.jpg", b"a\nb.png", b"\x1b]0;x\x07.png", b" .png",
                     b"x" * 240 + b".png", "\u202ex.png".encode(), b"a.png.png", b"-rf.png", b"'.png", b"a,b=[c].png"]),
    st.binary(min_size=1, max_size=6).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_") + b".png"),
)  # fmt: skip
FOLDERS = st.one_of(
    st.sampled_from([b"cat", b"dog", b"cat", b"dog", b"train", b"test", b"val", b"Test", b".hidden", b"cells",
                     b"caf\xe9", b"a\x1b[2Jb", b"A", b"B", b" ", b"y" * 250, "\u202ex".encode(), b"cat/deep",
                     b"train/cat", b"test/cat", b"A/train", b"B/train", b"train/dog", b"test/dog", b"a.png"]),
    st.binary(min_size=1, max_size=4).map(lambda name: name.replace(b"\0", b"_")),
)  # fmt: skip
LINKS = st.sampled_from([b".", b"..", b"cat", b"../cat", b"nowhere", b"/", b"/etc/passwd", b"a.png", b"loop"])
CONTENTS = st.one_of(
    st.sampled_from(["png"] * 4 + sorted(PICTURES)).map(PICTURES.get),
    st.tuples(st.just("link"), LINKS),
    st.just("pipe"),
    st.just("folder"),
    st.binary(max_size=40).map(lambda noise: GOOD[:33] + noise),
)
ENTRIES = st.lists(st.tuples(FOLDERS, NAMES, CONTENTS), max_size=12)


def made(folder: Path, entries: list[tuple[bytes, bytes, Any]]) -> None:
    """The files that the file system lets be made."""
    for place, name, content in entries:
        inside = os.path.join(os.fsencode(folder), place.lstrip(b"/"))
        if b".." in place:
            continue
        try:
            os.makedirs(inside, exist_ok=True)
            path = os.path.join(inside, name)
            if content == "pipe":
                os.mkfifo(path)
            elif content == "folder":
                os.mkdir(path)
            elif isinstance(content, tuple):
                os.symlink(content[1], path)
            else:
                with open(path, "xb") as file:
                    file.write(content)
        except OSError:
            continue


@counts(60)
@pytest.mark.parametrize("plugin", [image_folder, paired_folder], ids=["image-folder", "paired-folder"])
def test_any_folder(tmp_path: Path, count: int, plugin: Any) -> None:
    folder = tmp_path / "photos"

    @tried(count, ENTRIES, st.sampled_from([0, 5, 10]))
    def _(entries: list[tuple[bytes, bytes, Any]], fill: int) -> None:
        folder.mkdir()
        parts = (b"cat", b"dog") if plugin is image_folder else (b"A", b"B")
        full = [(part, b"%02d.png" % number, GOOD) for number in range(fill) for part in parts]
        made(folder, [*entries, *full])
        try:
            understood(plugin, folder)
        finally:
            shutil.rmtree(folder)
