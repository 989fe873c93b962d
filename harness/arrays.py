"""Named arrays in a compressed file, an .npz with its checksum behind it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from harness.sealed import Damaged, check_binary, seal_binary

END = b"PK\x05\x06"  # how the last 22 bytes of an .npz begin that an older version wrote without a checksum
LENGTH = 22


def write_arrays(file: Path, arrays: Mapping[str, Any]) -> None:
    """Write them under their names. Raises OSError."""
    with file.open("w+b") as opened:
        seal_binary(opened, lambda inner: np.savez_compressed(inner, **arrays))


def read_arrays(file: Path) -> dict[str, np.ndarray]:
    """The inverse. Raises OSError where there is no such file, and ValueError where it is damaged."""
    from zipfile import BadZipFile
    from zlib import error as BadStream

    try:
        with file.open("rb") as opened:
            if not _older(opened):
                check_binary(opened)
            opened.seek(0)
            with np.load(opened, allow_pickle=False) as arrays:
                return {name: np.asarray(arrays[name]) for name in arrays.files}
    except (Damaged, BadZipFile, BadStream, EOFError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged: {error}") from None


def _older(file: BinaryIO) -> bool:
    """Is it without a checksum? It has those of its parts then, as every .npz."""
    if file.seek(0, 2) < LENGTH:
        return False
    file.seek(-LENGTH, 2)
    return file.read(len(END)) == END
