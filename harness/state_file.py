"""The file of a training that is under way: what is told of it, and its tensors, with a checksum.

    a mark, the length of the head in 8 bytes, the head as JSON, the bytes of all tensors one after another, a checksum

The head says of which cell it is ("key") and how far that is ("done", a fraction in [0,1]). Nothing is unpickled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from harness.confined import is_file, own_folder, own_place, removed
from harness.sealed import Damaged, check_binary, seal_binary

if TYPE_CHECKING:
    from torch import Tensor

    from harness.refilled import Kept

NAME = "training.state"  # among a cell's artifacts
MARKED = b"harness training state 1\n"
LENGTH = 8  # bytes of the length of the head
LONGEST_HEAD = 2**30  # bytes


def write_state(file: Path, head: Mapping[str, Any], tensors: list[Tensor]) -> None:
    """Replace the file whole or not at all. What an interrupted writing left is written over. Raises OSError.

    Nothing waits for the disk: where the power fails, the checksum tells that the file is not whole, and work is lost,
    as it would be without the file.
    """
    from harness.refilled import layouts

    described = [asdict(each) for each in layouts(tensors)]
    content = json.dumps({**head, "tensors": described}).encode()

    def write(opened: BinaryIO) -> None:
        opened.write(MARKED + len(content).to_bytes(LENGTH, "little") + content)
        for tensor in tensors:
            opened.write(bytes_of(tensor))

    own_folder(file.parent)
    new = _unfinished(file)
    try:
        removed(new)
        with new.open("x+b") as opened:
            seal_binary(opened, write)
        os.replace(new, own_place(file))
    finally:
        removed(new)


def read_head(file: Path, key: str) -> dict[str, Any]:
    """What is told of the training of the cell with that key, the whole file verified. Raises Damaged, or OSError."""
    with file.open("rb") as opened:
        check_binary(opened)
        return _head(opened, key)


def read_state(file: Path, key: str) -> tuple[dict[str, Any], list[Kept]]:
    """The head and the tensors. Raises Damaged, or OSError."""
    from harness.refilled import Layout

    with file.open("rb") as opened:
        end = check_binary(opened)
        head = _head(opened, key)
        described = [
            Layout(**{**each, "shape": tuple(each["shape"]), "stride": tuple(each["stride"])})
            for each in head.pop("tensors")
        ]
        tensors = [(each, _tensor(opened, each)) for each in described]
        if opened.tell() != end:
            raise Damaged("it has more than it says")
    return head, tensors


def discard(file: Path) -> None:
    """Remove the file, and what an interrupted writing left beside it."""
    for each in (file, _unfinished(file)):
        removed(each)


def is_kept(file: Path) -> bool:
    """Is there such a file? A link is none."""
    return is_file(file)


def _unfinished(file: Path) -> Path:
    return file.with_name(f".{file.name}.new")


def _head(opened: BinaryIO, key: str) -> dict[str, Any]:
    if opened.read(len(MARKED)) != MARKED:
        raise Damaged("it is of another version")
    length = int.from_bytes(opened.read(LENGTH), "little")
    if length > LONGEST_HEAD:
        raise Damaged("it is no state of a training")
    try:
        head = json.loads(opened.read(length))
    except (ValueError, RecursionError) as error:
        raise Damaged(f"it is no JSON: {error}") from None
    if not isinstance(head, dict) or head.get("key") != key:
        raise Damaged("it is that of another cell")
    return head


def bytes_of(tensor: Tensor) -> memoryview:
    """The values of a tensor on any device, in their logical order."""
    import torch

    values = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    return memoryview(values.view(torch.uint8).numpy())  # type: ignore[arg-type]


def _tensor(opened: BinaryIO, layout: Any) -> Tensor:
    import torch

    from harness.refilled import dtype_of

    content = bytearray(opened.read(layout.bytes))
    if len(content) != layout.bytes:
        raise Damaged("it is cut short")
    dtype = dtype_of(layout.dtype)
    if not content:
        return torch.empty(layout.shape, dtype=dtype)
    return torch.frombuffer(content, dtype=torch.uint8).clone().view(dtype).reshape(layout.shape)
