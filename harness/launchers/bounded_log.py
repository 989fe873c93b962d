"""A cell's log on the disk, of bounded size: of a long one the beginning and the end are kept."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

MOST = 8 << 20  # bytes of one run of a cell; one that grows beyond is cut to its beginning and its end
HEAD = TAIL = 1 << 20  # bytes of these


class BoundedLog:
    """What one run of a cell prints, after what is in the file already. One process writes it.

    What was written before `start` stays as it is, and so does the place where this run begins.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        self.start = self.end = os.lseek(self.descriptor, 0, os.SEEK_END)
        self.left_out = 0  # bytes

    def write(self, data: bytes) -> None:
        """Add to the log. A full disk loses words of it, and never ends a cell."""
        with contextlib.suppress(OSError):
            self.end += os.pwrite(self.descriptor, data, self.end)
            if self.end - self.start > MOST:
                self._cut()

    def _cut(self) -> None:
        tail = os.pread(self.descriptor, TAIL, self.end - TAIL)
        self.left_out += self.end - self.start - HEAD - TAIL
        os.ftruncate(self.descriptor, self.start + HEAD)
        self.end = self.start + HEAD
        mark = f"\n[... {self.left_out:,} bytes are left out ...]\n".encode()
        for part in (mark, tail):
            self.end += os.pwrite(self.descriptor, part, self.end)

    def close(self) -> None:
        os.close(self.descriptor)


def room_for_more(file: Path) -> int:
    """Where the next run of a cell begins in its log, in bytes; of what earlier ones left, at most MOST are kept."""
    if not file.exists():
        return 0
    size = file.stat().st_size
    if size <= MOST:
        return size
    with file.open("rb") as log:
        log.seek(size - TAIL)
        tail = log.read()
    file.write_bytes(tail)
    return len(tail)
