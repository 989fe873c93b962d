"""The local launcher, but for what it does to its process, or leaves behind. An unpackaged plugin file."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.launchers.local import LocalLauncher
from harness.plugin import Assignment, CellResult, Conditions, LauncherSpec, hookimpl
from harness.plugin.specs import NoConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    folder: Path  # where it writes what became of it
    way: str = ""  # what it does once its first result is out; "build ...": when it is built


class Careless(LocalLauncher):
    def __init__(self, config: Config, conditions: Conditions) -> None:
        super().__init__(NoConfig(), conditions)
        self.config = config
        (config.folder / "pid").write_text(str(os.getpid()))
        if config.way.startswith("build "):
            misbehave(config.way.removeprefix("build "))

    def run(self, assignments: Sequence[Assignment], *, alone: bool) -> Generator[CellResult, None, None]:
        if self.config.way == "child":
            child = subprocess.Popen(["sleep", "600"], start_new_session=True)
            (self.config.folder / "child").write_text(str(child.pid))
        try:
            for result in super().run(assignments, alone=alone):
                yield replace(result, training=None) if self.config.way == "odd" else result
                misbehave(self.config.way)
                if self.config.way == "tells":
                    self.conditions.tell("harness_no_such_event", cell=assignments[0].task.cell)
                if self.config.way == "tells what cannot be sent":
                    self.conditions.tell("harness_cell_started", cell=lambda: None)
        finally:
            (self.config.folder / "ended").write_text(f"{alone}")


def misbehave(way: str) -> None:
    if way == "leaves":
        os._exit(0)
    if way == "crashes":
        ctypes.string_at(0)
    if way == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if way == "waits":
        time.sleep(600)


@hookimpl
def harness_launcher() -> LauncherSpec:
    return LauncherSpec(name="careless", build=Careless, config=Config, source="a test")
