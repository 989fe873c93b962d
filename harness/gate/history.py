"""What gates found, kept in a file: one line for each gate, added and never changed (JSON Lines).

A line holds what a later reader needs to follow a row over many commits: which commit against which, when, on which
machine, and of every row that is gated or timed its place, its margin and its change with the interval. Lines of many
machines may share a file; harness.gate.creep keeps them apart.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, RequestError
from harness.gate.findings import Comparison, Place

SCHEMA = 1
_PLACE = tuple(each.name for each in fields(Place))
_ROW = (
    "score", "unit", "direction", "kind", "gated", "state", "verdict", "outcome", "margin", "base", "candidate",
    "change", "low", "high", "seeds",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a time depends on beside the code: changes are added up only where all of this is the same."""

    processor: str  # its model, as its maker writes it
    cores: int
    threads: int  # that a measurement uses
    instructions: str = ""  # AVX2, AVX512
    torch: str = ""
    gpu: str = ""  # its name; "" where none is used

    @property
    def name(self) -> str:
        """One line for a heading."""
        parts = [self.gpu, self.processor, f"{self.cores} cores", f"{self.threads} threads", self.instructions]
        return ", ".join(filter(None, [*parts, self.torch and f"torch {self.torch}"]))


@dataclass(frozen=True, kw_only=True)
class Record:
    """One gate."""

    when: datetime
    commit: str  # of the candidate; `-dirty` at its end where files were changed
    base: str  # commit, or the name of what it was compared with
    machine: Machine
    outcome: str
    exit_code: int
    level: float  # of the intervals of scores
    rows: tuple[Mapping[str, Any], ...]  # place (a mapping) and what _ROW names

    def as_line(self) -> str:
        """JSON without a line break."""
        said = {"schema": SCHEMA, **asdict(self), "when": self.when.astimezone(UTC).isoformat(timespec="seconds")}
        return json.dumps(said, ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True)
class Damaged:
    """A line that is no record."""

    line: int  # from 1
    why: str

    def __str__(self) -> str:
        return f"line {self.line} is left out: {self.why}"


@dataclass(frozen=True)
class History:
    """A file, read."""

    records: tuple[Record, ...] = ()  # as they were added
    damaged: tuple[Damaged, ...] = field(default=())


def this_machine(threads: int = 1, device: str = "cpu") -> Machine:
    """The machine that runs this, as a gate with so many threads uses it."""
    import torch

    from harness.machine import cpu_name, torch_version

    return Machine(
        processor=cpu_name(),
        cores=os.cpu_count() or 1,
        threads=threads,
        instructions=torch.backends.cpu.get_cpu_capability(),
        torch=torch_version(),
        gpu=torch.cuda.get_device_name(device) if device.startswith("cuda") else "",
    )


def append(
    file: Path, found: Comparison, *, commit: str, when: datetime, machine: Machine, base: str | None = None
) -> None:
    """Add what a gate found to the end of a file, which is made if it is not there.

    commit, base: of the candidate and of its base; without `base` it is what the comparison calls it. when: with a time
    zone. The line is one write, and on the disk when this returns. Raises HarnessError where it cannot be written.
    """
    add(file, record_of(found.as_json(), commit=commit, when=when, machine=machine, base=base))


def add(file: Path, record: Record) -> None:
    """Add a record to the end of a file. One that a killed process left without its end stays a line of its own."""
    line = record.as_line().encode() + b"\n"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        target = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(target).st_size
            whole = b"\n" + line if size and os.pread(target, 1, size - 1) != b"\n" else line
            written = os.write(target, whole)
            os.fsync(target)
        finally:
            os.close(target)
    except OSError as error:
        raise HarnessError(f"cannot add to the history {file} ({error.strerror}): choose another file") from None
    if written < len(whole):
        raise HarnessError(f"cannot add to the history {file}: only {written} of {len(whole)} bytes could be written")


def record_of(
    content: Mapping[str, Any], *, commit: str, when: datetime, machine: Machine, base: str | None = None
) -> Record:
    """The record of a comparison as `--format json` writes it. Raises RequestError for what is none."""
    if when.tzinfo is None:
        raise ValueError("a time without a zone says nothing to a reader elsewhere: give it one")
    try:
        kept = [row for row in content["rows"] if row["gated"] or row["kind"] == "paired-time"]
        return Record(
            when=when,
            commit=commit,
            base=base or _base(content),
            machine=machine,
            outcome=content["outcome"],
            exit_code=content["exit_code"],
            level=1 - 2 * content["rule"]["wrong_pass"],
            rows=tuple(_row(row) for row in kept),
        )
    except (KeyError, TypeError) as error:
        raise RequestError(f"no comparison, as `harness compare --format json` writes it: {error!r}") from None


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: row[key] for key in _ROW}
    finite = {k: None if isinstance(v, float) and not isfinite(v) else v for k, v in kept.items()}
    return {"place": {key: row[key] for key in _PLACE}, **finite}


def _base(content: Mapping[str, Any]) -> str:
    """The base's commit: from its provenance, else from `main (1a2b3c4d5)`; else its name."""
    said = commits_of(content)[0]
    named = re.search(r"\(([0-9a-f]{7,40}(?:-dirty)?)\)", content["base"])
    return said or (named.group(1) if named else str(content["base"]))


def commits_of(content: Mapping[str, Any]) -> tuple[str, str]:
    """Commits of base and candidate, where their provenance says that they differ; else "" twice."""
    for one in content.get("provenance", ()):
        if one["what"] == "git commit":
            return one["base"], one["candidate"]
    return "", ""


def read(file: Path) -> History:
    """All records of a file, and which lines are none. Raises RequestError where there is no such file."""
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError as error:
        raise RequestError(f"cannot read the history {file} ({error.strerror}): `harness gate --history {file}` "
                           "makes it") from None  # fmt: skip
    records, damaged = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            records.append(_parsed(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            cut = number == len(lines)
            damaged.append(Damaged(number, "cut off before its end" if cut else _why(error)))
    return History(tuple(records), tuple(damaged))


def _parsed(line: bytes) -> Record:
    said = json.loads(line)
    if said["schema"] != SCHEMA:
        raise ValueError(f"of schema {said['schema']}, and this version reads {SCHEMA}")
    for row in said["rows"]:
        Place(**row["place"])
        if missing := [key for key in _ROW if key not in row]:
            raise KeyError(missing[0])
    when = datetime.fromisoformat(said.pop("when"))
    del said["schema"]
    return Record(**{**said, "when": when, "machine": Machine(**said["machine"]), "rows": tuple(said["rows"])})


def _why(error: Exception) -> str:
    if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
        return "no JSON"
    if isinstance(error, KeyError):
        return f"it has no {error}"
    return str(error) if isinstance(error, ValueError) else f"no record of a gate ({error})"
