from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.data import content
from harness.data.cache import cache_root
from harness.data.content import content_fingerprint, in_order
from harness.sealed import dump_sealed, load_sealed

OLD = 1_600_000_000 * 10**9  # ns


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two files, which count as settled at once, and a memo of their own."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(content, "SETTLED", -1.0)
    paths = [tmp_path / "data" / "a.bin", tmp_path / "data" / "sub" / "b.bin"]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number]) * 1000)
        os.utime(path, ns=(OLD, OLD))
    return paths


def memo_file() -> Path:
    (file,) = (cache_root() / "fingerprints").glob("*.json")
    return file


def memo() -> dict[str, list]:
    return load_sealed(memo_file().read_bytes())


def test_fingerprint_is_sixteen_hexadecimal_digits_in_no_order(files: list[Path]) -> None:
    fingerprint = content_fingerprint(files)
    assert len(fingerprint) == 16
    assert int(fingerprint, 16) >= 0
    assert content_fingerprint(files[::-1]) == fingerprint


def test_one_byte_changes_it(files: list[Path]) -> None:
    before = content_fingerprint(files)
    changed = bytearray(files[1].read_bytes())
    changed[500] ^= 1
    files[1].write_bytes(changed)
    assert content_fingerprint(files) != before


def test_times_and_place_do_not_change_it(files: list[Path], tmp_path: Path) -> None:
    before = content_fingerprint(files)
    os.utime(files[0], ns=(OLD + 10**9, OLD + 10**9))
    assert content_fingerprint(files) == before
    shutil.copytree(tmp_path / "data", tmp_path / "elsewhere")
    assert (
        content_fingerprint([tmp_path / "elsewhere" / path.relative_to(tmp_path / "data") for path in files]) == before
    )


def test_a_name_and_the_salt_change_it(files: list[Path]) -> None:
    before = content_fingerprint(files)
    assert content_fingerprint(files, salt="size 64") != before
    renamed = files[1].rename(files[1].with_name("c.bin"))
    assert content_fingerprint([files[0], renamed]) != before


def test_memo_saves_reading_files_that_did_not_change(files: list[Path]) -> None:
    before = content_fingerprint(files)
    assert set(memo()) == {str(path) for path in files}
    forged = memo()
    forged[str(files[0])][-1] = "0" * 32  # were the file read, this would not matter
    memo_file().write_bytes(dump_sealed(forged))
    assert content_fingerprint(files) != before
    os.utime(files[0], ns=(OLD, OLD))
    assert content_fingerprint(files) == before


def test_other_content_of_the_same_size_and_time_is_noticed(files: list[Path]) -> None:
    before = content_fingerprint(files)
    files[0].write_bytes(b"x" * 1000)
    os.utime(files[0], ns=(OLD, OLD))
    assert content_fingerprint(files) != before


def test_file_that_was_just_written_is_not_memoised(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "SETTLED", 60.0)
    content_fingerprint(files)
    assert not list(cache_root().rglob("*.json"))


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b"\xff", b'{"/a": 3}'])
def test_damaged_memo_is_replaced(files: list[Path], damage: bytes) -> None:
    before = content_fingerprint(files)
    memo_file().write_bytes(damage)
    assert content_fingerprint(files) == before
    assert {str(path) for path in files} <= set(memo())


def test_processes_at_the_same_time_lose_nothing_of_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    code = (
        "import sys; from pathlib import Path; from harness.data import content; content.SETTLED = -1.0\n"
        "for path in sys.argv[1:]: content.content_fingerprint([Path(path)])"
    )
    paths = [tmp_path / f"{number}.bin" for number in range(40)]
    for path in paths:
        path.write_bytes(path.name.encode())
    groups = [[str(path) for path in paths[start::2]] for start in range(2)]
    running = [subprocess.Popen([sys.executable, "-c", code, *group]) for group in groups]
    assert [process.wait(timeout=60) for process in running] == [0, 0]
    assert {str(path) for path in paths} <= set(memo())


def test_memo_that_cannot_be_written_is_a_warning(
    files: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = content_fingerprint(files)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="fingerprints cannot be kept .* set HARNESS_CACHE"):
        assert content_fingerprint(files) == before


def test_each_folder_has_a_memo_of_its_own(files: list[Path], tmp_path: Path) -> None:
    content_fingerprint(files)
    first = memo_file().read_bytes()
    other = tmp_path / "other" / "c.bin"
    other.parent.mkdir()
    other.write_bytes(b"c")
    content_fingerprint([other])
    both = [file.read_bytes() for file in (cache_root() / "fingerprints").glob("*.json")]
    assert len(both) == 2
    assert first in both


def test_files_count_in_the_order_of_their_folders_and_names(files: list[Path], tmp_path: Path) -> None:
    """A fingerprint is what it was before files were sorted as strings: `sub/b` comes before `sub-a`, as in paths."""
    odd = tmp_path / "data" / "sub-a"
    odd.write_bytes(b"odd")
    paths = [files[0], files[1], odd]
    assert sorted(paths) == paths
    total = hashlib.blake2b(digest_size=8)
    for path in paths:
        digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
        total.update(f"{path.relative_to(tmp_path / 'data').as_posix()}\0{digest}\n".encode())
    assert content_fingerprint(paths) == total.hexdigest()


def test_no_files_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least one file"):
        content_fingerprint([])


def test_the_spelling_of_a_path_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/x", "b/x", "b/y"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    plain = [tmp_path / "a" / "x", tmp_path / "b" / "x", tmp_path / "b" / "y"]
    monkeypatch.chdir(tmp_path / "b")
    spelled = [Path("../a/x"), Path("x"), tmp_path / "a" / ".." / "b" / "y", Path("./x")]
    assert in_order(spelled) == plain
    assert content_fingerprint(spelled) == content_fingerprint(plain)
    (tmp_path / "link").symlink_to(tmp_path / "b")
    linked = [tmp_path / "link" / "x", tmp_path / "link" / "y", tmp_path / "a" / "x"]
    assert in_order(linked) == [linked[2], linked[0], linked[1]]  # a link counts by its own name, in key and order
    assert content_fingerprint(linked) != content_fingerprint(plain)
