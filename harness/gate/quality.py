"""The quality tier: both versions bench the same request, and `harness compare` judges the scores.

What cannot have changed is not benched: cells of which no source differs. What did not change in its first steps, to
the last bit, is benched at one seed: if that is identical in the end too, no other is needed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.gate.baseline import FRAME
from harness.gate.checkouts import Side
from harness.gate.comparing import compare
from harness.gate.counting import Asked, Words
from harness.gate.exact_findings import needs_no_judging
from harness.gate.findings import Comparison
from harness.gate.margins import Margins
from harness.gate.processes import clean_environment, last_line
from harness.gate.sides import load_side, load_sides

Measured = Mapping[str, Any]
News = Callable[[str], None]
NO_WORDS: Words = {}
NOTHING = Comparison(base="", candidate="", findings=())  # of the first baseline, which no other was before
FINE = (0, 1)  # exit codes of a bench that has cells: all well, some failed


@dataclass(frozen=True)
class Sorted:
    """Methods of a request by what the exact tier says of them."""

    same: tuple[str, ...]  # no source differs
    alike: tuple[str, ...]  # identical in their first steps
    other: tuple[str, ...]
    broken: tuple[str, ...] = ()  # they fail in the first steps of the candidate, and not in those of the base


def judged(
    asked: tuple[Asked, Asked],
    counted: tuple[Sequence[Measured], Sequence[Measured]],
    margins: Margins,
    results: Path,
    data_dir: Path | None,
    news: News,
    *,
    skip: bool,
    stored: Path | None = None,
    timeout: float | None = None,
) -> tuple[Comparison, list[str]]:
    """The scores of both versions, compared, and what was left out.

    skip: may something be, by what was counted? stored: the folder of a baseline, or where one will be.
    timeout: seconds that a cell may take.
    """
    bench = _Bench(asked, margins, results, data_dir, news, stored, timeout)
    if not skip or "part" in asked[1].words:
        return bench.compared("quality"), []
    found, notes = sorted_methods(*counted), []
    if found.same:
        notes.append(f"not benched, since nothing that they depend on differs: {', '.join(found.same)}")
    if found.broken:
        notes.append(f"not benched, since the candidate failed in its first steps: {', '.join(found.broken)}")
    again: tuple[str, ...] = ()
    parts: list[Comparison] = []
    if found.alike:
        seed = min(each["seed"] for each in counted[1])
        probe = bench.compared("one-seed", found.alike, {"seeds": [seed]})
        again = tuple(method for method in found.alike if not _identical(probe, method))
        spared = [method for method in found.alike if method not in again]
        if spared:
            notes.append(f"identical to the last bit at seed {seed}, and so benched at no other: {', '.join(spared)}")
            parts.append(_of(probe, spared))
    if rest := (*found.other, *again):
        parts.append(_of(bench.compared("quality", rest), rest))
    whole = [row for part in parts for row in part.findings]
    differing = tuple(dict.fromkeys(one for part in parts for one in part.differing))
    told = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    return Comparison(base="", candidate="", findings=tuple(whole), differing=differing, notes=told), notes


def sorted_methods(base: Sequence[Measured], candidate: Sequence[Measured]) -> Sorted:
    """Which methods need to be benched, and at how many seeds."""
    old = {(str(each["place"]), each["seed"]): each for each in base}
    pairs: dict[str, list[tuple[Measured | None, Measured]]] = {}
    for each in candidate:
        pairs.setdefault(each["place"]["method"], []).append((old.get((str(each["place"]), each["seed"])), each))
    gone = {each["place"]["method"] for each in base} - pairs.keys()
    same, alike, other, broken = [], [], [*sorted(gone)], []
    for method, both in pairs.items():
        if all(one is not None and (one["status"], each["status"]) == ("ok", "failed") for one, each in both):
            broken.append(method)
        elif all(one is not None and _unchanged(one, each) for one, each in both):
            same.append(method)
        elif all(one is not None and needs_no_judging(one, each) for one, each in both):
            alike.append(method)
        else:
            other.append(method)
    return Sorted(tuple(same), tuple(alike), tuple(other), tuple(broken))


def _unchanged(base: Measured, candidate: Measured) -> bool:
    sources = base.get("sources") and base.get("sources") == candidate.get("sources")
    return bool(sources) and bool(base.get("judging")) and base["judging"] == candidate.get("judging")


def _identical(found: Comparison, method: str) -> bool:
    rows = [row for row in found.findings if row.place.method == method and row.gated and row.kind == "paired-seed"]
    return bool(rows) and all(row.state == "compared" and "identical" in row.why for row in rows)


def _of(found: Comparison, methods: Sequence[str]) -> Comparison:
    """The rows of these methods: a request with a plugin's file benches all of its methods."""
    return replace(found, findings=tuple(row for row in found.findings if row.place.method in methods))


def _only(asked: Asked, methods: Sequence[str]) -> Words:
    """The request of these methods alone, those of them that this version knows, or no words. It is that of all where
    one came from a file, which has a name of its own there.
    """
    texts = [asked.words.get("plugins", ()), asked.words.get("references", ())]
    if any(".py" in str(text) or "/" in str(text) for text in texts):
        return asked.words
    known = {each["place"]["method"] for each in asked.cells}
    if not any(method in known for method in methods):
        return {}
    return {**asked.words, "plugins": [method for method in methods if method in known], "references": []}


@dataclass(frozen=True)
class _Bench:
    asked: tuple[Asked, Asked]  # of base and candidate
    margins: Margins
    results: Path
    data_dir: Path | None
    news: News
    stored: Path | None = None
    timeout: float | None = None

    def compared(self, name: str, methods: Sequence[str] | None = None, changes: Words = NO_WORDS) -> Comparison:
        """Bench these methods, or all, with the words of the request and some changes, and compare."""
        asked = [each.words if methods is None else _only(each, methods) for each in self.asked]
        base, candidate = ({**words, **changes} if words else {} for words in asked)
        if self.stored is not None:
            self.news(f"benching the candidate, {name}")
            run = self._benched(self.asked[1].side, self.results / f"{name}-candidate", candidate)
            frame = self.stored / FRAME
            return compare(*load_sides(frame, run), self.margins, check=False) if frame.exists() else NOTHING
        folders = []
        for role, one, words in zip(("base", "candidate"), self.asked, (base, candidate), strict=True):
            if words:
                self.news(f"benching the {role}, {name}")
                folders.append(self._benched(one.side, self.results / f"{name}-{role}", words))
        if len(folders) == 2:
            return compare(*load_sides(*folders), self.margins, check=False)
        alone = load_side(folders[0])
        nothing = replace(alone, name="", frame=alone.frame.iloc[:0], missing=0)
        return compare(*((alone, nothing) if base else (nothing, alone)), self.margins, check=False)

    def _benched(self, side: Side, out: Path, words: Words) -> Path:
        from harness.gate.words import as_toml

        suite = out.with_suffix(".toml")
        suite.write_text(as_toml(words), encoding="utf-8")
        command = [str(side.python), "-P", "-m", "harness", "bench", str(suite), "--out", str(out)]
        command += ["--data-dir", str(self.data_dir.resolve())] if self.data_dir else []
        command += ["--timeout", str(self.timeout)] if self.timeout else []
        run = subprocess.run(
            command, cwd=side.folder, env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        out.with_suffix(".log").write_text(run.stdout + run.stderr, encoding="utf-8")
        if run.returncode not in FINE or not (out / "cells").is_dir():
            said = last_line(run.stderr or run.stdout)
            raise HarnessError(f"{side.name} was not benched (exit code {run.returncode}): {said}")
        return out
