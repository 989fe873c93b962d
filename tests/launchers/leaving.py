"""Methods whose processes die, or leave others behind, in every way that the local launcher must see at once."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from harness.plugin import MethodSpec, hookimpl

SLEEP = 400  # seconds; who waits for these children fails


@dataclass(frozen=True, kw_only=True)
class Config:
    pids: Path  # a folder: an empty file for each process that was started, named by its number
    way: str = "none"


class Leaving(nn.Module):
    def __init__(self, backbone, data, config: Config) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = config

    def loss(self, batch) -> torch.Tensor:
        way = self.config.way
        if "forks" in way:
            self.fork(away="away" in way)
        if "starts" in way:
            self.note(subprocess.Popen(["sleep", str(SLEEP)]).pid)
        if "speaks" in way:
            print("x" * 3_000_000)
        if "crashes" in way:
            read_null()
        if "dies" in way:
            os._exit(3)
        return self.backbone(batch.inputs).square().mean()

    def fork(self, *, away: bool) -> None:
        child = os.fork()
        if child:
            self.note(child)
            return
        if away:
            os.setsid()
        time.sleep(SLEEP)
        os._exit(0)

    def note(self, pid: int) -> None:
        (self.config.pids / str(pid)).touch()

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return self.backbone(images)


def read_null() -> None:
    ctypes.string_at(0)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="leaving", kind="pretext", build=Leaving, config=Config, source="a test")
