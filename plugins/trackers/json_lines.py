"""JSON Lines: what happens in a run, one JSON object a line, in a file of its folder that other programs can follow.

    harness bench --trackers 'json-lines[scalars=false]'        tail -f runs/.../events.jsonl

Every object has `event` and `time` (ISO 8601, UTC). A cell is a number, said in full when it first starts; `scalars`
are the latest means, with the fraction of the stage that is done. A number that is not finite is null. A second run in
the same folder goes on in the same file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.plugin import TrackerSpec, hookimpl

if TYPE_CHECKING:
    from harness.plugin import Cell, CellResult, Request


@dataclass(frozen=True, kw_only=True)
class Config:
    file: str = "events.jsonl"  # its name in the folder of the run
    scalars: bool = True  # the news of running cells too, a few a second for each

    def __post_init__(self) -> None:
        if Path(self.file).name != self.file or not self.file.endswith(".jsonl"):
            raise ValueError(f"file={self.file}: expected a name that ends in .jsonl, without a folder")


class JsonLines:
    """Writes each event as it comes: what is in the file is whole lines, whenever the run is interrupted."""

    def __init__(self, config: Config, folder: Path) -> None:
        self.config = config
        self.file = (folder / config.file).open("a", encoding="utf-8", buffering=1)
        self.numbers: dict[str, int] = {}  # of cells, by all that they are

    @hookimpl
    def harness_run_started(self, request: Request, cells: int) -> None:
        self.write("run_started", cells=cells, request=asdict(request))

    @hookimpl
    def harness_cells_added(self, request: Request, cells: int) -> None:
        self.write("cells_added", cells=cells, request=asdict(request))

    @hookimpl
    def harness_cell_started(self, cell: Cell) -> None:
        known = str(cell) in self.numbers
        self.write("cell_started", cell=self.number(cell), title=cell.title, **({} if known else asdict(cell)))

    @hookimpl
    def harness_scalars(self, cell: Cell, stage: str, done: float, scalars: Mapping[str, float]) -> None:
        if self.config.scalars:
            self.write("scalars", cell=self.number(cell), stage=stage, done=done, scalars=dict(scalars))

    @hookimpl
    def harness_cell_finished(self, cell: Cell, result: CellResult) -> None:
        training = {name: getattr(result.training, name) for name in ("status", "reason", "seconds", "steps", "loss")}
        judged = [asdict(evaluation) for evaluation in result.evaluations]
        for evaluation in judged:
            del evaluation["pictures"]
        self.write("cell_finished", cell=self.number(cell), key=result.key, training=training, evaluations=judged)

    @hookimpl
    def harness_run_finished(self, results: list[CellResult]) -> None:
        failed = [result.key for result in results if result.training.status == "failed"]
        self.write("run_finished", cells=len(results), failed=failed)

    def number(self, cell: Cell) -> int:
        return self.numbers.setdefault(str(cell), len(self.numbers))

    def write(self, event: str, **facts: Any) -> None:
        line = {"event": event, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **facts}
        self.file.write(json.dumps(_finite(line), ensure_ascii=False, allow_nan=False) + "\n")

    def close(self) -> None:
        self.file.close()


def _finite(value: Any) -> Any:
    """JSON has no word for infinity or NaN."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value


@hookimpl
def harness_tracker() -> TrackerSpec:
    return TrackerSpec(name="json-lines", build=JsonLines, config=Config, source="jsonlines.org")
