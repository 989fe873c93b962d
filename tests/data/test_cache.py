from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from harness.data.cache import cache_root, cached_array, write_atomically


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


def test_cache_root_is_the_variable_else_xdg_else_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "mine"))
    assert cache_root() == tmp_path / "mine"
    monkeypatch.delenv("HARNESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "harness"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == tmp_path / ".cache" / "harness"


def test_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    def half(file: BinaryIO) -> None:
        file.write(b"half")
        raise RuntimeError("out of power")

    path = tmp_path / "a"
    write_atomically(path, lambda file: file.write(b"whole"))
    with pytest.raises(RuntimeError, match="out of power"):
        write_atomically(path, half)
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_array_is_built_once() -> None:
    built = []

    def build() -> np.ndarray:
        built.append(1)
        return np.arange(6, dtype=np.uint8).reshape(2, 3)

    first, second = (cached_array("some/array.npy", (2, 3), build) for _ in range(2))
    assert built == [1]
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"nonsense"], ids=["empty", "cut off", "nonsense"])
def test_damaged_cache_file_is_built_anew(content: bytes) -> None:
    write_atomically(cache_root() / "a.npy", lambda file: file.write(content))
    assert cached_array("a.npy", (2,), lambda: np.array([7, 8], dtype=np.uint8)).tolist() == [7, 8]
    assert np.load(cache_root() / "a.npy").tolist() == [7, 8]


def test_array_of_another_shape_is_built_anew() -> None:
    cached_array("a.npy", (3,), lambda: np.zeros(3, dtype=np.uint8))
    assert cached_array("a.npy", (2,), lambda: np.array([7, 8], dtype=np.uint8)).tolist() == [7, 8]


def test_cache_that_cannot_be_written_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="set HARNESS_CACHE"):
        assert cached_array("a.npy", (1,), lambda: np.array([7], dtype=np.uint8)).tolist() == [7]
