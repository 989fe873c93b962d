"""A run's folder: what was asked, one atomic file per finished cell, artifacts, logs and the reports made from them.

    request.toml  environment.json  plan.json  looks.json  tuning.json  cells/<key>.json  artifacts/<key>/
    logs/<key>.log  results.parquet  results.csv  report.md  index.html
Only the process of `harness bench` writes here, and a cell's own process the state of its training while that is under
way (artifacts/<key>/training.state). A file appears whole or not at all: it is written under another name, flushed to
the disk, and renamed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from harness.cleaned import one_line
from harness.confined import Outside, inside, is_file, moved_files, own_folder, own_place, read_inside, removed
from harness.data.cache import write_atomically
from harness.errors import HarnessError, RequestError
from harness.looks import Looks
from harness.plugin.launching import WEIGHTS
from harness.records import CellResult, CellTask, EvaluationResult, Request, TrainingResult
from harness.sealed import (
    Damaged,
    checksum,
    dump_sealed,
    file_checksum,
    load_sealed,
    sealed_json,
    sealed_toml,
    unsealed_json,
    unsealed_toml,
)
from harness.sound import sound
from harness.tuning import Tuning
from harness.unfinished import Unfinished

OLDER = b'{\n "key": "'  # how a cell file begins that an older version wrote without a checksum
MOST = 256 * 2**20  # bytes of a file that is read whole
SHOWN = 3  # damaged files that a line names


class RunFolder:
    """One run on the disk."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.cells = self.path / "cells"
        self.artifacts = self.path / "artifacts"
        self.logs = self.path / "logs"
        self.staging = self.path / "staging"
        self.unfinished = Unfinished(self.path)
        self._looks = self.path / "looks.json"
        self._tuning = self.path / "tuning.json"
        self.damage: dict[str, str] = {}  # files that were read and are damaged, and why
        self.older = 0  # cells that an older version wrote, without checksums

    def create(self) -> RunFolder:
        """Make the folders; one clear line where that is not possible."""
        self.check_own()
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

    def check_own(self) -> None:
        """Raise RequestError where one of the folders of the run is a link: a run keeps its files to itself."""
        for folder in (self.cells, self.artifacts, self.logs, self.staging):
            if folder.is_symlink():
                raise RequestError(f"{folder} is a link: a run's files lie in its own folder, so put them there")

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

        text = tomli_w.dumps(asdict(request), multiline_strings=False)
        self._write(self.path / "request.toml", sealed_toml(text))
        self._write(self.path / "environment.json", dump_sealed(environment, indent=2))
        self._write(self.path / "plan.json", dump_sealed({"keys": list(keys)}, indent=0))

    def request(self) -> dict[str, Any]:
        """What was asked; nothing where it is not known or damaged, which `damage` then says."""
        import tomllib

        def asked(content: bytes) -> dict[str, Any]:
            found = tomllib.loads(unsealed_toml(content, b"plugins = "))
            parts = found.get("parts", [])
            if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
                raise Damaged("its parts are no tables")
            return found

        return self._read("request.toml", asked) or {}

    def environment(self) -> dict[str, Any]:
        """The machine; nothing where it is not known or damaged."""
        found = self._read("environment.json", lambda content: load_sealed(content, b"{\n"))
        return found if isinstance(found, dict) else {}

    def write_looks(self, looks: Looks | None) -> None:
        """Keep at how many seeds the differences were looked at; None: as many as were asked for, at once."""
        self._write_record(self._looks, looks)

    def looks(self) -> Looks | None:
        """What `write_looks` kept; None for a folder that has none, or is none, or where it is damaged."""
        return self._read("looks.json", lambda content: _adapter(Looks).validate_json(unsealed_json(content, b"{\n")))

    def write_tuning(self, tuning: Tuning | None) -> None:
        """Keep which settings were tried, and which were chosen; None: none were."""
        self._write_record(self._tuning, tuning)

    def tuning(self) -> Tuning | None:
        """What `write_tuning` kept; None for a folder that has none, or where it is damaged."""

        def tried(content: bytes) -> Tuning:
            found: Tuning = _adapter(Tuning).validate_json(unsealed_json(content, b"{\n"))
            if not found.tuned:
                raise Damaged("it names nothing that was tuned")
            return found

        return self._read("tuning.json", tried)

    def _write_record(self, file: Path, record: Looks | Tuning | None) -> None:
        if record is None:
            removed(file)
        else:
            self._write(file, dump_sealed(asdict(record), indent=1))

    def _write(self, file: Path, content: bytes) -> None:
        with self._writing():
            write_whole(own_place(file), content)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What cannot be written is an error of one line: what is finished is kept."""
        try:
            yield
        except OSError as error:
            raise RequestError(
                f"cannot write to {self.path} ({error.strerror or error}): what is finished there is kept; "
                "make room and run the same command again"
            ) from None

    def _read(self, name: str, understood: Callable[[bytes], Any]) -> Any:
        """What a file of the run says; None where there is none, or where it is damaged."""
        try:
            content = read_inside(self.path, name, MOST)
            found = understood(content)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError, HarnessError) as error:
            self.damage[name] = _why(error)
            return None
        self.damage.pop(name, None)
        return found

    # Cells. ------------------------------------------------------------------------------------------------------

    def stored(self) -> dict[str, CellResult]:
        """Every finished cell in the folder by its key, those of earlier requests too.

        What is damaged is left out, and said in `damage`; the same bench makes it again.
        """
        found = {}
        self.older = 0
        for entry in sorted(self.cells.iterdir()) if self.cells.is_dir() else ():
            if entry.suffix == ".json":
                result = self._read(f"cells/{entry.name}", partial(self._cell, entry.stem))
                if result is not None:
                    found[result.key] = result
        return found

    def _cell(self, key: str, content: bytes) -> CellResult:
        result = sound(load_result(unsealed_json(content, OLDER)))
        if result.key != key:
            raise Damaged("it is that of another cell")
        self.older += content.startswith(OLDER)
        return result

    def load_cells(self) -> list[CellResult]:
        """The finished cells of the last request, in its order; all where it is not known which those are."""
        self.check_own()
        if not self.cells.is_dir():
            raise RequestError(f"{self.path} is no run: it has no folder 'cells' (runs are made by harness bench)")
        found = self.stored()
        keys = self.keys()
        known = (self.path / "plan.json").exists() and "plan.json" not in self.damage
        return [found[key] for key in (keys if known else sorted(found)) if key in found]

    def keys(self) -> list[str]:
        """The cells of the last request, in its order; none where no request is known."""

        def keys(content: bytes) -> list[str]:
            plan = load_sealed(content, b"[")
            found = plan["keys"] if isinstance(plan, dict) and "keys" in plan else plan
            if not isinstance(found, list) or not all(isinstance(key, str) for key in found):
                raise Damaged("it is no list of keys")
            return found

        return self._read("plan.json", keys) or []

    @property
    def notices(self) -> list[str]:
        """What a reader must know of the files that were read, with the place of the run: `remarks` on all of them."""
        return self._placed(self.remarks)

    @property
    def damaged(self) -> list[str]:
        """A line for what is damaged of the files that were read, if anything is, with the place of the run."""
        return self._placed(self._damaged())

    @property
    def remarks(self) -> list[str]:
        """A line for what is damaged, one for what is older: for pages, which say the run by its name."""
        older = f"{self.older} cells were written by an older version, without checksums"
        return [*self._damaged(), *([older] if self.older else [])]

    def _damaged(self) -> list[str]:
        if not self.damage:
            return []
        named = [f"{name} ({why})" for name, why in sorted(self.damage.items())]
        more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
        said = f"damaged and left out: {', '.join(named[:SHOWN])}{more}; the same `harness bench` makes them again"
        return [one_line(said)]

    def _placed(self, lines: Iterable[str]) -> list[str]:
        return [one_line(f"{self.path}: {line}") for line in lines]

    def save(self, result: CellResult, staged: Path | None) -> CellResult:
        """Publish a finished cell: its staged artifacts first, then its file. Returns it as it was stored.

        What an evaluation names that is no file in the staging folder, or is reached by a link, fails it.
        """
        files = dict(result.files or {})
        with self._writing():
            if staged is not None and staged.exists():
                prefix = f"artifacts/{result.key}"
                result = replace(result, evaluations=tuple(_published(e, staged, prefix) for e in result.evaluations))
                for name in moved_files(staged, own_folder(self.artifacts / result.key)):
                    files[f"{prefix}/{name}"] = file_checksum(self.path / prefix / name)
                removed(staged)
                if result.training.weights:  # those that were judged, whatever became of the file
                    files[f"{prefix}/{WEIGHTS}"] = result.training.weights
            result = replace(result, files=files)
            write_whole(own_place(self.cells / f"{result.key}.json"), sealed_json(dump_result(result)))
            if result.training.status != "failed":
                self.unfinished.forget(result.key)
        return result

    def discard(self, key: str) -> None:
        """Forget a cell that its successor has replaced."""
        for path in (self.cells / f"{key}.json", self.logs / f"{key}.log", self.artifacts / key):
            removed(path)

    def weights(self, result: CellResult) -> Path | None:
        """The weights of a trained cell, verified; None where it has none, or where they are damaged."""
        try:
            file = inside(self.path, f"artifacts/{result.key}/{WEIGHTS}")
            return file if is_file(file) and file_checksum(file) == weights_sum(result) else None
        except (OSError, HarnessError):
            return None

    def artifact(self, result: CellResult, name: str) -> bytes:
        """A file that an evaluation of this cell made, verified. Raises Damaged, Outside, or FileNotFoundError."""
        return verified(self.path, result, name)

    def checkpoint(self, key: str) -> Path:
        """Where the weights of a trained cell are kept."""
        return self.artifacts / key / WEIGHTS


def weights_sum(result: CellResult) -> str:
    """The checksum of a cell's weights; empty where it has none."""
    return (result.files or {}).get(f"artifacts/{result.key}/{WEIGHTS}", "")


def verified(folder: Path, result: CellResult, name: str) -> bytes:
    """`RunFolder.artifact` of the run in that folder."""
    content = read_inside(folder, name, MOST)
    if result.files is not None and result.files.get(name) != checksum(content):
        raise Damaged(f"{name} is damaged: its checksum is another")
    return content


def _published(evaluation: EvaluationResult, staged: Path, prefix: str) -> EvaluationResult:
    """Files that were staged get their place below the run folder; those of earlier runs have it already."""

    def placed(file: str) -> str:
        if not file or file.startswith(f"{prefix}/"):
            return file
        if not is_file(inside(staged, file)):
            raise Outside(f"'{one_line(file)}' is no file that it made")
        return f"{prefix}/{file}"

    try:
        pictures = tuple(replace(picture, file=placed(picture.file)) for picture in evaluation.pictures)
        return replace(evaluation, pictures=pictures, examples=placed(evaluation.examples))
    except Outside as error:
        reason = f"what it keeps to be shown: {error}"
        return replace(evaluation, status="failed", reason=reason, scores=(), pictures=(), examples="")


def _why(error: Exception) -> str:
    """What is wrong with a file, in a few words."""
    text = one_line(str(error.strerror or error) if isinstance(error, OSError) else str(error))
    return text if len(text) <= 120 else f"{text[:119]}…"


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
