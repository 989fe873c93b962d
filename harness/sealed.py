"""Content that shows whether it is what was written: a checksum inside each kind of file that Harness keeps.

    JSON      {"checksum": "<hex>",<the rest of the object>       TOML      # checksum: <hex>, in its first line
    binary    the content, then a mark and the checksum, which readers of .npy and .npz leave alone

A checksum is BLAKE2b of 16 bytes, of the content without it. Where the format has no room for one (PNG, safetensors),
the cell that the file belongs to holds it: `CellResult.files`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from harness.errors import HarnessError

SIZE = 16  # bytes of a checksum
MARK = b"\nharness checksum "  # before that of a binary file, which are its last bytes
JSON_SEAL = re.compile(rb'\{"checksum": "([0-9a-f]{32})"(,?)')
TOML_SEAL = re.compile(rb"# checksum: ([0-9a-f]{32})\n")
CHUNK = 1 << 20  # bytes that are read at once


class Damaged(HarnessError):
    """Content that is not what was written."""


def checksum(content: bytes) -> str:
    """32 hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=SIZE).hexdigest()


def file_checksum(file: Path) -> str:
    """That of a file's content, however large it is."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=SIZE)).hexdigest()


def sealed_json(content: bytes) -> bytes:
    """A JSON object with its checksum as the first key.

    >>> unsealed_json(sealed_json(b'{"a": 1}'))
    b'{"a": 1}'
    """
    rest = content.removeprefix(b"{")
    comma = b"" if rest.strip() == b"}" else b","
    return b'{"checksum": "%s"%s%s' % (checksum(content).encode(), comma, rest)


def unsealed_json(content: bytes, unsealed: bytes = b"") -> bytes:
    """The object as it was given to `sealed_json`; raises Damaged where it is another.

    unsealed: how such a file begins that an older version wrote without a checksum; it is taken as it is. No single
    bit lies between the two beginnings.
    """
    return _opened(content, JSON_SEAL, b"{", unsealed)


def sealed_toml(text: str) -> bytes:
    """TOML with its checksum in a comment."""
    return f"# checksum: {checksum(text.encode())}\n{text}".encode()


def unsealed_toml(content: bytes, unsealed: bytes = b"") -> str:
    """The inverse; see `unsealed_json`."""
    return _opened(content, TOML_SEAL, b"", unsealed).decode()


def _opened(content: bytes, seal: re.Pattern[bytes], beginning: bytes, unsealed: bytes) -> bytes:
    found = seal.match(content)
    if found is None:
        if unsealed and content.startswith(unsealed):
            return content
        raise Damaged("it has no checksum")
    inside = beginning + content[found.end() :]
    if checksum(inside).encode() != found[1]:
        raise Damaged("its checksum is another")
    return inside


def dump_sealed(content: dict[str, Any], indent: int | None = None) -> bytes:
    """A JSON object as bytes with its checksum."""
    return sealed_json(json.dumps(content, indent=indent).encode())


def load_sealed(content: bytes, unsealed: bytes = b"") -> Any:
    """The inverse. Raises Damaged, for what is no JSON too."""
    try:
        return json.loads(unsealed_json(content, unsealed))
    except (ValueError, RecursionError) as error:
        raise Damaged(f"it is no JSON: {error}") from None


def seal_binary(file: BinaryIO, write: Callable[[BinaryIO], object]) -> None:
    """Let `write(file)` fill an empty file that is open for writing and reading, and add the checksum."""
    write(file)
    file.flush()
    file.seek(0)
    digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=SIZE)).digest()  # type: ignore[arg-type]
    file.seek(0, 2)
    file.write(MARK + digest)


def check_binary(file: BinaryIO) -> int:
    """The length of the content of a file of `seal_binary`, at whose beginning it then is. Raises Damaged."""
    end = file.seek(0, 2) - len(MARK) - SIZE
    if end < 0:
        raise Damaged("it is cut short")
    file.seek(0)
    digest = hashlib.blake2b(digest_size=SIZE)
    left = end
    while left:
        part = file.read(min(CHUNK, left))
        digest.update(part)
        left -= len(part)
        if not part:
            raise Damaged("it is cut short")
    mark, found = file.read(len(MARK)), file.read()
    if mark != MARK:
        raise Damaged("it has no checksum")
    if found != digest.digest():
        raise Damaged("its checksum is another")
    file.seek(0)
    return end
