"""What every cell of a request costs on both sides: harness.gate.exact, in a process of either version for each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, RequestError
from harness.gate.checkouts import Side
from harness.gate.processes import Script, Unanswered

RULER = Path(__file__).with_name("exact.py")
KNOWN = Path(__file__).with_name("known.py")
Measured = Mapping[str, Any]  # what harness.gate.exact writes of one cell
Words = Mapping[str, Any]
LONGEST = 600.0  # seconds that a process may take to count one cell, or to list them


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
    seconds: float = LONGEST  # that each process may take

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
            with ExitStack() as started:  # none is left where another one, or the user, ends the gate
                running = []
                for side, each in enumerate(asked):
                    if at < len(each.cells):
                        script = self._start(each.side, RULER, each.words, f"{side}", "--cell", str(at))
                        started.callback(script.end)
                        running.append((side, each.cells[at], script))
                for side, cell, script in running:
                    found[side].append(self._counted(cell, script))
        return found

    def _part(self, side: Side, words: Words, trouble: RequestError) -> Asked:
        try:
            known = self._start(side, KNOWN, words, "known").answer(self.seconds)
        except RequestError:
            raise trouble from None
        except Unanswered as how:
            raise HarnessError(f"{side.name} cannot read the request: {how}") from None
        cells = self._cells(side, known["words"]) if known["words"] else ()
        return Asked(side=side, words=known["words"], cells=cells, unknown=known["unknown"])

    def _cells(self, side: Side, words: Words) -> list[Measured]:
        """The cells of the request as this version expands it, each with its place in that list."""
        try:
            cells: list[dict[str, Any]] = self._start(side, RULER, words, "cells", "--list").answer(self.seconds)
        except (RequestError, Unanswered) as how:
            what = RequestError if isinstance(how, RequestError) else HarnessError
            raise what(f"{side.name} cannot carry the request out: {how}") from None
        return [{**cell, "index": at} for at, cell in enumerate(cells)]

    def _start(self, side: Side, script: Path, words: Words, name: str, *more: str) -> Script:
        """Run one of the gate's own scripts in a process of one version; it writes the file."""
        request, out = (self.results / f"{name}-{end}.json" for end in ("request", "answer"))
        request.write_text(json.dumps(dict(words)), encoding="utf-8")
        data = ["--data-dir", str(self.data_dir.resolve())] if self.data_dir and script == RULER else []
        command = [str(side.python), "-P", str(script), str(request), "-o", str(out), *more, *data]
        return Script(command, out, side.folder)

    def _counted(self, cell: Measured, script: Script) -> Measured:
        try:
            return {**script.answer(self.seconds), "index": cell["index"]}
        except (RequestError, Unanswered) as how:
            return {**cell, "status": "failed", "reason": str(how)}


def _named(one: Mapping[str, str], others: Sequence[Mapping[str, str]]) -> bool:
    return any((one["word"], one["text"]) == (other["word"], other["text"]) for other in others)
