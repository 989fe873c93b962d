"""A run's folder: what was asked, one atomic file per finished cell, artifacts, logs and the reports made from them.

    request.toml  environment.json  plan.json  looks.json  tuning.json  cells/<key>.json  artifacts/<key>/
    logs/<key>.log  results.parquet  results.csv  report.md  index.html
Only the process of `harness bench` writes here. A file appears whole or not at all: it is written under another name,
flushed to the disk, and renamed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

from harness.data.cache import write_atomically
from harness.errors import RequestError
from harness.looks import Looks
from harness.records import CellResult, CellTask, EvaluationResult, Picture, Request, TrainingResult
from harness.tuning import Tuning


class RunFolder:
    """One run on the disk."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.cells = self.path / "cells"
        self.artifacts = self.path / "artifacts"
        self.logs = self.path / "logs"
        self.staging = self.path / "staging"
        self._looks = self.path / "looks.json"
        self._tuning = self.path / "tuning.json"

    def create(self) -> RunFolder:
        """Make the folders; one clear line where that is not possible."""
        try:
            for folder in (self.cells, self.artifacts, self.logs, self.staging):
                folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.path / ".writable", "")
            (self.path / ".writable").unlink()
        except OSError as error:
            raise RequestError(
                f"cannot write to {self.path} ({error.strerror}): choose another folder with --out"
            ) from None
        return self

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one `harness bench`; a second one is told so at once."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RequestError(f"another harness bench is writing to {self.path}: wait, or use another --out") from None
        try:
            shutil.rmtree(self.staging, ignore_errors=True)
            self.staging.mkdir(exist_ok=True)
            yield
        finally:
            lock.release()

    # What was asked. ---------------------------------------------------------------------------------------------

    def write_request(self, request: Request, environment: dict[str, Any], keys: Sequence[str]) -> None:
        """Keep the request, the machine, and the keys of the cells that the request consists of."""
        import tomli_w

        write_whole(self.path / "request.toml", tomli_w.dumps(asdict(request), multiline_strings=False))
        write_whole(self.path / "environment.json", json.dumps(environment, indent=2))
        write_whole(self.path / "plan.json", json.dumps(list(keys), indent=0))

    def request(self) -> dict[str, Any]:
        import tomllib

        file = self.path / "request.toml"
        return tomllib.loads(file.read_text()) if file.exists() else {}

    def environment(self) -> dict[str, Any]:
        file = self.path / "environment.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def write_looks(self, looks: Looks | None) -> None:
        """Keep at how many seeds the differences were looked at; None: as many as were asked for, at once."""
        if looks is None:
            self._looks.unlink(missing_ok=True)
        else:
            write_whole(self._looks, json.dumps(asdict(looks), indent=1))

    def looks(self) -> Looks | None:
        """What `write_looks` kept; None for a folder that has none, or is none."""
        return _adapter(Looks).validate_json(self._looks.read_bytes()) if self._looks.exists() else None

    def write_tuning(self, tuning: Tuning | None) -> None:
        """Keep which settings were tried, and which were chosen; None: none were."""
        if tuning is None:
            self._tuning.unlink(missing_ok=True)
        else:
            write_whole(self._tuning, json.dumps(asdict(tuning), indent=1))

    def tuning(self) -> Tuning | None:
        """What `write_tuning` kept; None for a folder that has none. Raises RequestError for a damaged one."""
        if not self._tuning.exists():
            return None
        try:
            return _adapter(Tuning).validate_json(self._tuning.read_bytes())
        except ValueError:
            raise RequestError(
                f"{self._tuning} is damaged: run the same `harness bench` again, which makes it"
            ) from None

    # Cells. ------------------------------------------------------------------------------------------------------

    def stored(self) -> dict[str, CellResult]:
        """Every finished cell in the folder by its key, those of earlier requests too. Unreadable ones are left out."""
        found = {}
        for file in sorted(self.cells.glob("*.json")):
            try:
                result = load_result(file.read_bytes())
            except ValueError:
                continue  # written by another version: the plan calls the cell new and runs it again
            found[result.key] = result
        return found

    def load_cells(self) -> list[CellResult]:
        """The finished cells of the last request, in its order."""
        if not self.cells.is_dir():
            raise RequestError(f"{self.path} is no run: it has no folder 'cells' (runs are made by harness bench)")
        found = self.stored()
        known = (self.path / "plan.json").exists()
        return [found[key] for key in (self.keys() if known else sorted(found)) if key in found]

    def keys(self) -> list[str]:
        """The cells of the last request, in its order; none where no request is known."""
        plan = self.path / "plan.json"
        return json.loads(plan.read_text()) if plan.exists() else []

    def save(self, result: CellResult, staged: Path | None) -> CellResult:
        """Publish a finished cell: its staged artifacts first, then its file. Returns it as it was stored."""
        if staged is not None and staged.exists():
            prefix = f"artifacts/{result.key}"
            result = replace(result, evaluations=tuple(_published(e, staged, prefix) for e in result.evaluations))
            home = self.artifacts / result.key
            home.mkdir(exist_ok=True)
            for entry in staged.iterdir():
                _replace_tree(entry, home / entry.name)
            shutil.rmtree(staged, ignore_errors=True)
        write_whole(self.cells / f"{result.key}.json", dump_result(result))
        return result

    def discard(self, key: str) -> None:
        """Forget a cell that its successor has replaced."""
        (self.cells / f"{key}.json").unlink(missing_ok=True)
        (self.logs / f"{key}.log").unlink(missing_ok=True)
        shutil.rmtree(self.artifacts / key, ignore_errors=True)

    def checkpoint(self, key: str) -> Path:
        """Where the weights of a trained cell are kept."""
        return self.artifacts / key / "method.safetensors"


def _published(evaluation: EvaluationResult, staged: Path, prefix: str) -> EvaluationResult:
    """Files that were staged get their place below the run folder; those of earlier runs have it already."""

    def placed(file: str) -> str:
        staged_here = bool(file) and not Path(file).is_absolute() and (staged / file).is_file()
        return f"{prefix}/{file}" if staged_here else file

    def moved(picture: Picture) -> Picture:
        return replace(picture, file=placed(picture.file))

    pictures = tuple(moved(picture) for picture in evaluation.pictures)
    return replace(evaluation, pictures=pictures, examples=placed(evaluation.examples))


def _replace_tree(source: Path, target: Path) -> None:
    """Move a file or merge a folder into its place; on one file system, so that each file moves whole."""
    if source.is_dir():
        target.mkdir(exist_ok=True)
        for entry in source.iterdir():
            _replace_tree(entry, target / entry.name)
    else:
        os.replace(source, target)


def write_whole(file: Path, content: str | bytes) -> None:
    """The whole content or nothing, whatever happens meanwhile."""
    data = content.encode() if isinstance(content, str) else content
    write_atomically(file, lambda handle: handle.write(data))


@cache
def _adapter(record: type) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(record)


def dump_result(result: CellResult) -> bytes:
    """A cell's result as JSON."""
    return _adapter(CellResult).dump_json(result, indent=1)


def load_result(content: bytes) -> CellResult:
    """The inverse of dump_result; ValueError where the content is something else."""
    return _adapter(CellResult).validate_json(content)


def dump_task(task: CellTask) -> bytes:
    """A cell's task as JSON."""
    return _adapter(CellTask).dump_json(task)


def load_task(content: bytes) -> CellTask:
    return _adapter(CellTask).validate_json(content)


def dump_training(training: TrainingResult) -> bytes:
    """What training gave, as JSON."""
    return _adapter(TrainingResult).dump_json(training)


def load_training(content: bytes) -> TrainingResult:
    return _adapter(TrainingResult).validate_json(content)


def dump_evaluation(row: EvaluationResult) -> bytes:
    """What one evaluation said, as JSON."""
    return _adapter(EvaluationResult).dump_json(row)


def load_evaluation(content: bytes) -> EvaluationResult:
    return _adapter(EvaluationResult).validate_json(content)


def warm_up() -> None:
    """Build the validators now, so that a process that is forked from this one has them."""
    for record in (CellTask, CellResult, TrainingResult, EvaluationResult):
        _adapter(record)
