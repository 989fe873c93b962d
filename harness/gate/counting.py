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
Measured = Mapping[str, Any]  # what harness.gate.exact writes of one cell


@dataclass(frozen=True, kw_only=True)
class Counting:
    """Counts the cells of `words`, on both sides at once."""

    words: Mapping[str, Any]
    sides: tuple[Side, Side]
    results: Path  # where files are written
    data_dir: Path | None
    news: Callable[[str], None]

    def cells(self, which: int) -> list[Measured]:
        """The cells of the request as one side expands it, each with its place in that list. Raises RequestError."""
        return self._listed(self.sides[which], self._request())

    def counts(self, *, alone: bool) -> tuple[list[Measured], list[Measured]]:
        """What each costs. alone: the candidate's only."""
        request = self._request()
        listed = [[] if alone and which == 0 else self._listed(side, request) for which, side in enumerate(self.sides)]
        found: tuple[list[Measured], list[Measured]] = ([], [])
        most = max(map(len, listed))
        for at in range(most):
            self.news(f"counting costs, cell {at + 1} of {most}")
            running = [
                (which, cells[at], _start(self.sides[which], self._exact(which, request, at)))
                for which, cells in enumerate(listed)
                if at < len(cells)
            ]
            for which, cell, process in running:
                found[which].append(self._counted(which, cell, process, at))
        for role, measured in zip(("base", "candidate"), found, strict=True):
            (self.results / f"exact-{role}.json").write_text(json.dumps(measured, indent=1), encoding="utf-8")
        return found

    def _request(self) -> Path:
        request = self.results / "request.json"
        request.write_text(json.dumps(dict(self.words)), encoding="utf-8")
        return request

    def _listed(self, side: Side, request: Path) -> list[Measured]:
        """The cells of the request as this version expands it, each with its place in that list."""
        out = self.results / "cells.json"
        process = _start(side, [str(request), "-o", str(out), "--list", *self._data()])
        _, said = process.communicate()
        if process.returncode:
            what = RequestError if process.returncode == 2 else HarnessError
            raise what(f"{side.name} cannot carry the request out: {last_line(said)}")
        cells: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))
        return [{**cell, "index": at} for at, cell in enumerate(cells)]

    def _exact(self, which: int, request: Path, at: int) -> list[str]:
        out = self._out(which, at)
        return [str(request), "-o", str(out), "--cell", str(at), *self._data()]

    def _out(self, which: int, at: int) -> Path:
        return self.results / f"costs-{which}-{at}.json"

    def _data(self) -> list[str]:
        return ["--data-dir", str(self.data_dir.resolve())] if self.data_dir else []

    def _counted(self, which: int, cell: Measured, process: subprocess.Popen[str], at: int) -> Measured:
        _, said = process.communicate()
        out = self._out(which, at)
        if process.returncode == 0 and out.exists():
            measured: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
            out.unlink()
            return {**measured, "index": at}
        reason = f"its process ended with exit code {process.returncode}: {last_line(said)}"
        return {**cell, "status": "failed", "reason": reason}


def _start(side: Side, arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Count with the gate's own ruler, in a process of one version."""
    return subprocess.Popen(
        [str(side.python), "-P", str(RULER), *arguments],
        cwd=side.folder,
        env={**clean_environment(), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
