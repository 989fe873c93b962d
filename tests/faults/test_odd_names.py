"""What a plugin, a class, a file or an option is called never reaches a terminal, a table or a page raw."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.cleaned import cleaned, from_a_sheet, in_a_sheet, is_plain, one_line
from harness.cli.streams import Guarded
from harness.errors import BrokenPlugin, RequestError
from harness.registry import Registry
from harness.report import build
from harness.report.frame import read_frame, tidy_frame, write_frame
from harness.sealed import sealed_json, unsealed_json
from harness.store import RunFolder

EVIL = "\x1b]0;pwned\x07\x1b[2J\u202egnp\x9b1A\udcff"
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@given(st.text(st.characters(), max_size=50))
def test_cleaned_text_can_be_written_and_obeys_nothing(text: str) -> None:
    safe = cleaned(text)
    safe.encode()
    assert not RAW.search(safe.replace("\r", ""))
    assert cleaned(safe) == safe
    assert is_plain(one_line(text))


@given(st.text(st.sampled_from("'=+-@\t\r1.ae\x1b "), max_size=8))
def test_no_cell_of_a_sheet_is_a_formula_and_every_one_comes_back(text: str) -> None:
    shown = in_a_sheet(text)
    assert from_a_sheet(shown) == text
    if shown and shown[0] in "=+-@\t\r":
        float(shown)


def cli(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments], capture_output=True, text=True, timeout=120, cwd=cwd
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("bench", "--plugins", f"va{EVIL[:-1]}e"),
        ("bench", "--plugins", "vae", "--set", f"vae.{EVIL[:-1]}=3"),
        ("bench", "--plugins", f"vae[decoder={EVIL[:-1]}]"),
        ("bench", f"{EVIL[:-1]}.toml"),
        ("bench", f"--{EVIL[:-1]}"),
        ("report", f"./{EVIL[:-1]}"),
        ("datasets", "show", f"image-folder[path=./{EVIL[:-1]}]"),
        ("plugins", "show", EVIL[:-1]),
    ],
)
def test_options_are_shown_not_obeyed(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = cli(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert not RAW.search(done.stdout + done.stderr)
    assert "Traceback" not in done.stderr


PLUGIN = '''
"""{evil} a docstring."""
from dataclasses import dataclass
import torch
from torch import nn
from harness.plugin import MethodSpec, hookimpl

@dataclass(frozen=True, kw_only=True)
class Config:
    way: str = ""

class Mine(nn.Module):
    def __init__(self, backbone, data, config):
        super().__init__()
        self.backbone = backbone

    def loss(self, batch):
        raise ValueError({evil!r})

    def encode(self, images):
        return self.backbone(images)

@hookimpl
def harness_method():
    return MethodSpec(name={name!r}, kind="pretext", build=Mine, config=Config, source={evil!r})
'''


def test_reasons_and_docstrings_are_shown_not_obeyed(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN.format(evil=EVIL[:-1], name="mine").replace("\x1b", "\\x1b"))
    done = cli("bench", "--plugins", "./mine.py", "--references", "none", "--seeds", "1", "--out", "run", cwd=tmp_path)
    assert done.returncode == 1
    assert not RAW.search(done.stdout + done.stderr)
    assert "pwned" in done.stdout
    for name in ("report.md", "index.html", "results.csv"):
        assert not RAW.search((tmp_path / "run" / name).read_text())
    for verb in ("show", "check"):
        assert not RAW.search(cli("plugins", verb, "./mine.py", cwd=tmp_path).stdout)


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a\nb", "\x1b[31m", "\u202ea", "x" * 200, "<img>", "../x", "a/b", 5, None]
)
def test_a_name_is_checked_when_its_plugin_is_loaded(tmp_path: Path, name: object) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN.format(evil="x", name=name))
    with pytest.raises(BrokenPlugin, match="has the name") as caught:
        Registry().load_file(file)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_a_class_is_shown_as_a_name(tmp_path: Path) -> None:
    for n in range(20):
        file = tmp_path / "photos" / ("<b>x", "=1+1")[n % 2] / f"{n}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (n, n, n)).save(file)
    done = cli("datasets", "show", "image-folder[path=photos,size=8]", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "<b>x" in done.stdout


def test_a_strangers_run_is_shown_not_obeyed(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (file,) = (run / "cells").iterdir()
    text = unsealed_json(file.read_bytes()).decode()
    bad = "\\u001b]0;pwned\\u0007\\u202e<script>alert(1)</script>|=1+1"
    for key in ("caption", "heading", "note", "asks", "reason", "word"):
        text = text.replace(f'"{key}": "', f'"{key}": "{bad}')
    text = text.replace('"name": "vae"', f'"name": "vae{bad}"')
    file.write_bytes(sealed_json(text.encode()))
    build([RunFolder(run)], run)
    for name in ("report.md", "index.html", "results.csv"):
        written = (run / name).read_text()
        assert not RAW.search(written)
        assert "<script>alert" not in written or name == "results.csv"
    assert not RAW.search("".join(capfd.readouterr()))


def test_the_page_lets_nothing_run_but_its_own_script(run: Path) -> None:
    build([RunFolder(run)], run)
    page = (run / "index.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1].replace("&#39;", "'")
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert not re.search(r" on[a-z]+=|javascript:", page.replace(script, ""))


def test_a_sheet_has_no_formula_and_the_frame_comes_back(run: Path, tmp_path: Path) -> None:
    (result,) = RunFolder(run).load_cells()
    frame = tidy_frame([result], "run")
    odd = ["=1+1", "@SUM(A1)", "+x", "-x", "'=quoted", "\tx", "-0.5", "'plain"]
    frame = frame.assign(note=(odd * len(frame))[: len(frame)])
    write_frame(frame, tmp_path)
    for name in ("results.csv", "results.parquet"):
        pd.testing.assert_frame_equal(read_frame(tmp_path / name), frame)
    sheet = pd.read_csv(tmp_path / "results.csv", dtype=str, keep_default_na=False)
    texts = {text for text in sheet["note"] if text[0] in "=+-@\t"}
    assert texts <= {"-0.5"}


class Terminal:
    encoding = "utf-8"

    def __init__(self, tty: bool) -> None:
        self.tty, self.written = tty, ""

    def isatty(self) -> bool:
        return self.tty

    def write(self, text: str) -> int:
        self.written += text
        return len(text)


def test_a_terminal_gets_colours_and_a_file_gets_none() -> None:
    text = "\x1b[31mred\x1b[0m \x1b]0;title\x07\n"
    terminal, file = Terminal(tty=True), Terminal(tty=False)
    Guarded(terminal).write(text)
    Guarded(file).write(text)
    assert terminal.written == "\x1b[31mred\x1b[0m \\x1b]0;title\\x07\n"
    assert file.written == "\\x1b[31mred\\x1b[0m \\x1b]0;title\\x07\n"


def test_errors_are_of_one_line() -> None:
    assert str(RequestError(f"no '{EVIL}'")).isprintable()
