"""The fingerprint of files by their content, remembered so that files that did not change are read once.

    fingerprint = BLAKE2b-64(for each file: relative name, NUL, BLAKE2b-128 of its content, NL; then the salt)

The memo, one file for each common folder in `fingerprints/` of the cache folder, maps a path to (size, mtime_ns,
ctime_ns, digest). It only saves time: when it is lost, damaged or cannot be written, files are read again. ctime is
there since archives and `cp -p` put other content in a file's place with any mtime that they like. Nothing here makes a
Path of each file: of 50,000 files, planning looks at every one.
"""

from __future__ import annotations

import hashlib
import os
import time
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock

from harness.data.cache import cache_root, read_kept, write_kept

SETTLED = 2.0  # seconds: a younger file may change again within the resolution of its time stamps: not memoised
READERS = 4  # files that are read at once

Memo = dict[str, list]  # absolute path -> [size in bytes, mtime in ns, ctime in ns, hexadecimal digest]


def content_fingerprint(files: Iterable[Path], salt: str = "") -> str:
    """16 hexadecimal digits for the content and the relative names of `files` and for `salt`.

    Names count from the files' common folder, so that moving a whole dataset changes nothing; times do not count.
    """
    paths = _ordered(files)
    if not paths:
        raise ValueError("a fingerprint needs at least one file")
    common = os.path.commonpath({os.path.dirname(path) for path in paths})
    digests = _digests(paths, common)
    start = len(os.path.join(common, ""))
    total = hashlib.blake2b(digest_size=8)
    for path in paths:
        total.update(os.fsencode(f"{path[start:].replace(os.sep, '/')}\0{digests[path]}\n"))
    total.update(salt.encode())
    return total.hexdigest()


def file_digests(files: Iterable[Path]) -> list[str]:
    """BLAKE2b-128 of the content of each file, from the memo where that is known."""
    paths = [os.path.abspath(file) for file in files]
    if not paths:
        return []
    digests = _digests(list(dict.fromkeys(paths)), os.path.commonpath({os.path.dirname(path) for path in paths}))
    return [digests[path] for path in paths]


def in_order(files: Iterable[Path]) -> list[Path]:
    """Each file once, absolute and without `..`, sorted: the order of a fingerprint, however the paths are spelled."""
    return [Path(path) for path in _ordered(files)]


def written_out(file: Path) -> Path:
    """The absolute path without `.` and `..`; links stay as they are."""
    return Path(os.path.abspath(file))


def _ordered(files: Iterable[Path]) -> list[str]:
    """`in_order` as text, folder by folder: paths as objects would take most of the time of many files."""
    return sorted(set(map(os.path.abspath, files)), key=lambda path: path.split(os.sep))


def _digests(paths: list[str], common: str) -> dict[str, str]:
    """The content digest of each file, from the memo where size and time are still the same."""
    memo = _read_memo(common)
    digests: dict[str, str] = {}
    unknown: dict[str, os.stat_result] = {}
    for path in paths:
        stat = os.stat(path)
        known = memo.get(path)
        if known is not None and known[:-1] == _state(stat):
            digests[path] = known[-1]
        else:
            unknown[path] = stat
    if unknown:
        now = time.time()  # before they are read
        with ThreadPoolExecutor(READERS) as pool:
            digests |= zip(unknown, pool.map(_content_digest, unknown, chunksize=64), strict=True)
        settled = {path: stat for path, stat in unknown.items() if now - max(stat.st_mtime, stat.st_ctime) > SETTLED}
        if settled:
            _remember({path: [*_state(stat), digests[path]] for path, stat in settled.items()}, common)
    return digests


def _state(stat: os.stat_result) -> list[int]:
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _content_digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _memo_file(common: str) -> Path:
    return cache_root() / "fingerprints" / f"{hashlib.blake2b(os.fsencode(common), digest_size=8).hexdigest()}.json"


def _read_memo(common: str) -> Memo:
    """The memo of the files in that folder, or an empty one where it is missing or damaged."""
    content = read_kept(_memo_file(common)) or {}
    return {path: entry for path, entry in content.items() if isinstance(entry, list) and len(entry) == 4}


def _remember(news: Memo, common: str) -> None:
    """Merge `news` into the memo; a lock keeps what other processes add at the same time."""
    target = _memo_file(common)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock"), timeout=10):
            write_kept(target, _read_memo(common) | news)
    except OSError as error:  # filelock.Timeout is one, too
        warnings.warn(f"fingerprints cannot be kept in {target} ({error}): set HARNESS_CACHE", stacklevel=2)
