"""What is quoted of a log."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from harness.last_words import last_words

CRASH = """before
Fatal Python error: Aborted

Thread 0x00007f01 (most recent call first):
  File "/lib/threading.py", line 1 in wait

Current thread 0x00007f02 (most recent call first):
  File "/some/where/mine.py", line 12 in loss
  File "/harness/trainer.py", line 7 in step

Extension modules: numpy.core, torch._C (total: 2)
"""

LOSS = "Aborted in loss (mine.py, line 12)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing in its log"),
        ("\n \n", "nothing in its log"),
        ("one\n  two  \n\n", "two"),
        ("one\n[harness] knn on digits failed\n", "nothing in its log"),
        ("one\n[harness] knn on digits failed\ntwo\n", "two"),
        (CRASH, LOSS),
        (CRASH.replace('File "/some', f'File "{ctypes.__file__}", line 9 in string_at\n  File "/some'), LOSS),
        ("Fatal Python error: Bus error\n\nExtension modules: x\n", "Bus error"),
        ("x" * 1000, "x" * 199 + "…"),
    ],
)
def test_the_last_words_of_a_log(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "log").write_text(text)
    assert last_words(tmp_path / "log") == words


def test_a_log_that_is_not_there_and_one_of_an_earlier_run(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_words(log) == "nothing in its log"
    log.write_text("earlier\n")
    assert last_words(log, log.stat().st_size) == "nothing in its log"


def test_only_the_end_of_a_large_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\xff" * 10_000_000 + b"\nthe end")
    assert last_words(log) == "the end"
