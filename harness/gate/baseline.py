"""A stored baseline: what was measured of a version that passed, for gates that cannot run the base again.

Counts and scores may be compared with it wherever they are measured; times may not, on no machine: a time that was not
interleaved with the candidate's says more of the hour than of the code. It moves to a candidate that passes, or to one
that somebody acknowledges with a reason; every move is kept with its commit and outcome.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import RequestError
from harness.gate.findings import Comparison

FILE = "baseline.json"
FRAME = "results.parquet"
ARTIFACTS, EXAMPLES = "artifacts", "examples.npz"  # what test examples got lies there, as in a run
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What is known of it."""

    folder: Path
    commit: str
    words: Mapping[str, Any]  # of the request that it was measured with
    counts: Sequence[Mapping[str, Any]]  # of harness.gate.exact, one for each cell
    moves: Sequence[Mapping[str, Any]]

    @property
    def name(self) -> str:
        return f"{self.folder.name} ({self.commit or 'of no commit'}, stored)"

    @property
    def frame(self) -> Path:
        return self.folder / FRAME


def read_baseline(folder: Path) -> Baseline:
    """A stored baseline. Raises RequestError where there is none, or a damaged one."""
    file = folder / FILE
    if not file.exists():
        raise RequestError(f"{folder} holds no baseline: make one with --move (or --accept 'why' if the gate fails)")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            raise RequestError(f"{file} was written by another Harness: make it again with --move")
        return Baseline(folder=folder, **{key: content[key] for key in ("commit", "words", "counts", "moves")})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{file} is damaged ({type(error).__name__}): restore it, or make it again") from None


def moved(
    folder: Path,
    *,
    commit: str,
    words: Mapping[str, Any],
    counts: Sequence[Mapping[str, Any]],
    run: Path | None,
    found: Comparison,
    reason: str,
) -> Baseline:
    """Store a candidate as the baseline. run: the folder of its bench, None where quality was not measured.

    Raises RequestError if it did not pass and nobody says why it is taken all the same.
    """
    if found.outcome != "pass" and not reason.strip():
        raise RequestError(
            f"the baseline stays as it is, since the gate did not pass ({found.outcome}): --accept 'why'"
        )
    old = read_baseline(folder).moves if (folder / FILE).exists() else ()
    move = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "outcome": found.outcome,
        "reason": reason,
    }
    if folder.exists() and any(folder.iterdir()) and not (folder / FILE).exists():
        raise RequestError(f"{folder} holds other things than a baseline: choose an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FRAME).unlink(missing_ok=True)
    shutil.rmtree(folder / ARTIFACTS, ignore_errors=True)
    if run is not None:
        shutil.copy2(run / FRAME, folder / FRAME)
        for file in (run / ARTIFACTS).rglob(EXAMPLES):
            copy = folder / file.relative_to(run)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
    content = {"version": VERSION, "commit": commit, "words": dict(words), "counts": list(counts)}
    new = folder / f".{FILE}"
    new.write_text(json.dumps({**content, "moves": [*old, move]}, indent=1), encoding="utf-8")
    os.replace(new, folder / FILE)
    return read_baseline(folder)
