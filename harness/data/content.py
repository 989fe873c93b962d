"""The fingerprint of files by their content, remembered so that files that did not change are read once.

    fingerprint = BLAKE2b-64(for each file: relative name, NUL, BLAKE2b-128 of its content, NL; then the salt)

The memo `fingerprints.json` in the cache folder maps a path to (size, mtime_ns, ctime_ns, digest). It only saves time:
when it is lost, damaged or cannot be written, files are read again. ctime is there since archives and `cp -p` put other
content in a file's place with any mtime that they like.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from harness.data.cache import cache_root, write_atomically

SETTLED = 2.0  # seconds: a younger file may change again within the resolution of its time stamps: not memoised

Memo = dict[str, list]  # absolute path -> [size in bytes, mtime in ns, ctime in ns, hexadecimal digest]


def content_fingerprint(files: Iterable[Path], salt: str = "") -> str:
    """16 hexadecimal digits for the content and the relative names of `files` and for `salt`.

    Names count from the files' common folder, so that moving a whole dataset changes nothing; times do not count.
    """
    paths = in_order(files)
    if not paths:
        raise ValueError("a fingerprint needs at least one file")
    common = Path(os.path.commonpath([path.parent for path in paths]))
    digests = _digests(paths)
    total = hashlib.blake2b(digest_size=8)
    for path in paths:
        total.update(f"{path.relative_to(common).as_posix()}\0{digests[path]}\n".encode())
    total.update(salt.encode())
    return total.hexdigest()


def in_order(files: Iterable[Path]) -> list[Path]:
    """Each file once, absolute and without `..`, sorted: the order of a fingerprint, however the paths are spelled."""
    return sorted({written_out(file) for file in files})


def written_out(file: Path) -> Path:
    """The absolute path without `.` and `..`; links stay as they are."""
    return Path(os.path.abspath(file))


def _digests(paths: list[Path]) -> dict[Path, str]:
    """The content digest of each file, from the memo where size and time are still the same."""
    memo = _read_memo()
    digests: dict[Path, str] = {}
    news: Memo = {}
    for path in paths:
        stat = path.stat()
        state = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        known = memo.get(str(path))
        if known is not None and known[:-1] == state:
            digests[path] = known[-1]
            continue
        digests[path] = _content_digest(path)
        if time.time() - max(stat.st_mtime, stat.st_ctime) > SETTLED:
            news[str(path)] = [*state, digests[path]]
    if news:
        _remember(news)
    return digests


def _content_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _memo_file() -> Path:
    return cache_root() / "fingerprints.json"


def _read_memo() -> Memo:
    """The memo, or an empty one where it is missing or damaged."""
    try:
        content = json.loads(_memo_file().read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {path: entry for path, entry in content.items() if isinstance(entry, list) and len(entry) == 4}


def _remember(news: Memo) -> None:
    """Merge `news` into the memo; a lock keeps what other processes add at the same time."""
    target = _memo_file()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock"), timeout=10):
            merged = _read_memo() | news
            write_atomically(target, lambda file: file.write(json.dumps(merged).encode()))
    except OSError as error:  # filelock.Timeout is one, too
        warnings.warn(f"fingerprints cannot be kept in {target} ({error}): set HARNESS_CACHE", stacklevel=2)
