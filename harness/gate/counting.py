"""What every cell of a request costs on both sides: harness.gate.exact, in a process of either version for each."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, RequestError
from harness.gate.checkouts import Side
from harness.gate.processes import clean_environment, last_line

RULER = Path(__file__).with_name("exact.py")
KNOWN = Path(__file__).with_name("known.py")
Measured = Mapping[str, Any]  # what harness.gate.exact writes of one cell
Words = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as one version reads it."""

    side: Side
    words: Words  # without what this version does not know; empty where it knows nothing
    cells: Sequence[Measured] = ()  # seed, place, and index in the list of the request's cells
    unknown: Sequence[Mapping[str, str]] = ()  # what it does not know: word, text, why


@dataclass(frozen=True, kw_only=True)
class Counting:
    """Reads a request with each version, and counts its cells."""

    results: Path  # where files are written
    data_dir: Path | None
    news: Callable[[str], None]

    def asked(self, words: Words, *sides: Side) -> list[Asked]:
        """The request as each side reads it. What a side does not know is left out there, if another one knows it.

        Raises RequestError for what none of them knows, or what is wrong in other ways.
        """
        found: list[Asked] = []
        troubles: list[RequestError] = []
        for side in sides:
            try:
                found.append(Asked(side=side, words=words, cells=self._cells(side, words)))
            except RequestError as trouble:
                troubles.append(trouble)
                found.append(self._part(side, words, trouble))
        everywhere = [each for each in found[0].unknown if all(_named(each, other.unknown) for other in found)]
        if everywhere:
            raise troubles[-1]
        return found

    def counts(self, asked: Sequence[Asked]) -> list[list[Measured]]:
        """What each cell costs, of all sides at once."""
        found: list[list[Measured]] = [[] for _ in asked]
        most = max(len(each.cells) for each in asked)
        for at in range(most):
            self.news(f"counting costs, cell {at + 1} of {most}")
            running = [
                (side, each.cells[at], self._start(each.side, RULER, each.words, f"{side}", "--cell", str(at)))
                for side, each in enumerate(asked)
                if at < len(each.cells)
            ]
            for side, cell, (process, out) in running:
                found[side].append(_counted(cell, process, out))
        return found

    def _part(self, side: Side, words: Words, trouble: RequestError) -> Asked:
        process, out = self._start(side, KNOWN, words, "known")
        _, said = process.communicate()
        if process.returncode:
            raise trouble if process.returncode == 2 else HarnessError(f"{side.name}: {last_line(said)}")
        known = json.loads(out.read_text(encoding="utf-8"))
        cells = self._cells(side, known["words"]) if known["words"] else ()
        return Asked(side=side, words=known["words"], cells=cells, unknown=known["unknown"])

    def _cells(self, side: Side, words: Words) -> list[Measured]:
        """The cells of the request as this version expands it, each with its place in that list."""
        process, out = self._start(side, RULER, words, "cells", "--list")
        _, said = process.communicate()
        if process.returncode:
            what = RequestError if process.returncode == 2 else HarnessError
            raise what(f"{side.name} cannot carry the request out: {last_line(said)}")
        cells: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))
        return [{**cell, "index": at} for at, cell in enumerate(cells)]

    def _start(
        self, side: Side, script: Path, words: Words, name: str, *more: str
    ) -> tuple[subprocess.Popen[str], Path]:
        """Run one of the gate's own scripts in a process of one version; it writes the file."""
        request, out = (self.results / f"{name}-{end}.json" for end in ("request", "answer"))
        request.write_text(json.dumps(dict(words)), encoding="utf-8")
        out.unlink(missing_ok=True)
        data = ["--data-dir", str(self.data_dir.resolve())] if self.data_dir and script == RULER else []
        process = subprocess.Popen(
            [str(side.python), "-P", str(script), str(request), "-o", str(out), *more, *data],
            cwd=side.folder,
            env={**clean_environment(), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        return process, out


def _counted(cell: Measured, process: subprocess.Popen[str], out: Path) -> Measured:
    _, said = process.communicate()
    if process.returncode == 0 and out.exists():
        measured: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return {**measured, "index": cell["index"]}
    reason = f"its process ended with exit code {process.returncode}: {last_line(said)}"
    return {**cell, "status": "failed", "reason": reason}


def _named(one: Mapping[str, str], others: Sequence[Mapping[str, str]]) -> bool:
    return any((one["word"], one["text"]) == (other["word"], other["text"]) for other in others)
