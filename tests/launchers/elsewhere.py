"""A launcher as a cluster's would be: the task travels as JSON, files as bytes, into a workplace in another folder."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.launchers.work import work
from harness.outcomes import failed
from harness.plugin import Assignment, CellResult, Conditions, LauncherSpec, Workplace, hookimpl
from harness.store import dump_task, load_result


@dataclass(frozen=True, kw_only=True)
class Config:
    folder: Path  # the other machine: `data` in it is its data root
    way: str = "works"  # any other: a launcher that is wrong


class Elsewhere:
    def __init__(self, config: Config, conditions: Conditions) -> None:
        self.folder = config.folder
        self.way = config.way
        self.tell = conditions.tell
        if self.way == "refuses":
            raise ConnectionError("nobody is there")
        if self.way == "exits":
            sys.exit(0)
        if self.way == "list":
            self.run = lambda assignments, *, alone: [5]  # type: ignore[method-assign]
        if self.way == "nothing":
            self.run = None  # type: ignore[method-assign, assignment]

    def run(self, assignments: Sequence[Assignment], *, alone: bool) -> Generator[CellResult, None, None]:
        for number, assignment in enumerate(assignments):
            if self.way == "forgets" and number:
                continue
            self.tell("harness_cell_started", cell=assignment.task.cell)
            here = assignment.here
            self.folder.mkdir(exist_ok=True)
            home = Path(tempfile.mkdtemp(dir=self.folder))
            content, artifacts = self.there(
                home,
                dump_task(assignment.task),
                {file.name: file.read_bytes() for file in here.plugin_files},
                here.checkpoint.read_bytes() if here.checkpoint else None,
            )
            for name, data in artifacts.items():
                (here.staging / name).parent.mkdir(parents=True, exist_ok=True)
                (here.staging / name).write_bytes(data)
            yield load_result(content) if content else failed(assignment.task, "nothing came back")
            if self.way == "raises":
                raise ConnectionError("the line is cut")
            if self.way == "leaves":
                sys.exit(0)
            if self.way in ("twice", "number"):
                yield load_result(content) if self.way == "twice" else 5  # type: ignore[misc]

    def there(
        self, home: Path, task: bytes, plugins: dict[str, bytes], checkpoint: bytes | None
    ) -> tuple[bytes, dict[str, bytes]]:
        """The other machine's part: it sees none of the sender's paths."""
        for name, data in {**plugins, "task.json": task, "weights": checkpoint or b""}.items():
            (home / name).write_bytes(data)
        command = [sys.executable, __file__, str(self.folder), str(home), str(len(plugins)), *plugins]
        subprocess.run([*command, *(["weights"] if checkpoint else [])], check=True, cwd=home)
        files = [file for file in (home / "staging").rglob("*") if file.is_file()]
        artifacts = {file.relative_to(home / "staging").as_posix(): file.read_bytes() for file in files}
        return (home / "result.json").read_bytes(), artifacts


@hookimpl
def harness_launcher() -> LauncherSpec:
    return LauncherSpec(name="elsewhere", build=Elsewhere, config=Config, source="a test")


def main(folder: Path, home: Path, plugins: list[str], checkpoint: list[str]) -> None:
    workplace = Workplace(
        data_root=folder / "data",
        cache=folder / "cache",
        staging=home / "staging",
        plugin_files=tuple(home / name for name in plugins),
        checkpoint=home / checkpoint[0] if checkpoint else None,
    )
    result = work((home / "task.json").read_bytes(), workplace, lambda *news: None, lambda training: None)
    (home / "result.json").write_bytes(result)


if __name__ == "__main__":
    count = int(sys.argv[3])
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[4 : 4 + count], sys.argv[4 + count :])
