"""A log of bounded size: short ones whole, long ones with their beginning and end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.launchers import bounded_log
from harness.launchers.bounded_log import BoundedLog, room_for_more


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in {"MOST": 1000, "HEAD": 100, "TAIL": 200}.items():
        monkeypatch.setattr(bounded_log, name, size)


def written(file: Path, pieces: list[bytes]) -> bytes:
    log = BoundedLog(file)
    for piece in pieces:
        log.write(piece)
    log.close()
    return file.read_bytes()


def test_a_short_log_is_kept_whole_after_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "a.log"
    assert written(file, [b"one\n", b"two\n"]) == b"one\ntwo\n"
    assert written(file, [b"three\n"]) == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("length", [1, 7, 90, 700, 5000])
def test_a_long_log_keeps_its_beginning_and_its_end(tmp_path: Path, length: int) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(b"earlier\n")
    text = b"".join(b"%07d\n" % n for n in range(1000))  # 8,000 bytes
    found = written(file, [text[at : at + length] for at in range(0, len(text), length)])
    assert found.startswith(b"earlier\n" + text[:100])
    assert found.endswith(text[-200:])
    assert len(found) <= 8 + 1000 + 5000
    assert b"bytes are left out" in found


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    assert b"[... 1,700 bytes are left out ...]" in written(tmp_path / "a.log", [b"x" * 1000, b"y" * 1000])


def test_earlier_runs_take_no_more_room_than_one(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    assert room_for_more(file) == 0
    file.write_bytes(b"x" * 1000)
    assert room_for_more(file) == 1000
    file.write_bytes(b"x" * 1000 + b"y" * 150)
    assert room_for_more(file) == 200
    assert file.read_bytes() == b"x" * 50 + b"y" * 150


def test_a_full_disk_loses_words_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = BoundedLog(tmp_path / "a.log")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    log.write(b"lost")
    monkeypatch.undo()
    log.write(b"kept")
    log.close()
    assert (tmp_path / "a.log").read_bytes() == b"kept"
