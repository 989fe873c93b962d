"""Where Harness keeps what may be thrown away at any time: fingerprints, decoded images, feature extractors.

`$HARNESS_CACHE`, or else `$XDG_CACHE_HOME/harness`, or else `~/.cache/harness`.
"""

from __future__ import annotations

import logging
import os
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from harness.sealed import Damaged, check_binary, dump_sealed, load_sealed, seal_binary

if TYPE_CHECKING:
    import numpy as np

logger = logging.getLogger(__name__)


def cache_root() -> Path:
    """The cache folder; it may not exist yet."""
    chosen = os.environ.get("HARNESS_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return (Path(base).expanduser() / "harness").absolute()


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write(file)` fill a new file beside `path`, then put it in the place of `path` in one step.

    So a reader sees the old content or the new one, whoever else writes and whenever the power fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with new.open("w+b") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


def cached_array(name: str, shape: tuple[int, ...], build: Callable[[], np.ndarray]) -> np.ndarray:
    """The uint8 array of `shape` in the cache file `name`, else what `build` gives, which is then kept there."""
    import numpy as np

    def fits(kept: tuple[np.ndarray, ...]) -> bool:
        return kept[0].shape == shape and kept[0].dtype == np.uint8

    return cached_arrays(name, 1, fits, lambda: (build(),))[0]


def cached_arrays(
    name: str, count: int, fits: Callable[[tuple[np.ndarray, ...]], bool], build: Callable[[], tuple[np.ndarray, ...]]
) -> tuple[np.ndarray, ...]:
    """The `count` arrays in the cache file `name`, one after another, else what `build` gives, which is kept there.

    fits: are these what was asked for? Where they are not, they are built anew.
    """
    import numpy as np

    path = cache_root() / name
    try:
        with path.open("rb") as file:
            check_binary(file)
            kept = tuple(np.load(file, allow_pickle=False) for _ in range(count))
        if fits(kept):
            return kept
    except FileNotFoundError:
        logger.debug("nothing is kept in %s yet", path)
    except (OSError, EOFError, ValueError, Damaged) as error:
        logger.warning("%s is damaged or of an older version, and made anew: %s", path, error)
    arrays = build()

    def write(file: BinaryIO) -> None:
        for array in arrays:
            np.save(file, array)

    try:
        write_atomically(path, lambda file: seal_binary(file, write))
    except OSError as error:
        warnings.warn(f"{path} cannot be kept ({error}): set HARNESS_CACHE", stacklevel=2)
    return arrays


def write_kept(path: Path, content: dict[str, Any]) -> None:
    """Keep a JSON object with its checksum. Raises OSError."""
    write_atomically(path, lambda file: file.write(dump_sealed(content)))


def read_kept(path: Path) -> dict[str, Any] | None:
    """What `write_kept` kept; None where there is nothing, or where it is damaged, which is said."""
    try:
        return load_sealed(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, Damaged) as error:
        logger.warning("%s is damaged or of an older version, and made anew: %s", path, error)
        return None
