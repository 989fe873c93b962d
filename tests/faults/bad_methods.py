"""Methods that go wrong in every way that a method can, beside one that works. Loaded as an unpackaged plugin file."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from harness.errors import NotApplicable
from harness.plugin.hookspecs import hookimpl
from harness.plugin.specs import MethodSpec


@dataclass(frozen=True, kw_only=True)
class Config:
    way: Literal[
        "none", "build", "raise", "nan", "crash", "kill", "hang", "collapse", "encode", "print", "late",
        "build exits", "build quits", "build aborts", "build hangs", "applies", "skips",
    ] = "none"  # fmt: skip


class Bad(nn.Module):
    def __init__(self, backbone, data, config: Config) -> None:
        super().__init__()
        self.way = config.way
        self.backbone = backbone
        if self.way == "build":
            raise KeyError("no such layer")
        if self.way == "build exits":
            sys.exit(0)
        if self.way == "build quits":
            os._exit(0)
        if self.way == "build aborts":
            os.abort()
        if self.way == "build hangs":
            time.sleep(600)
        if self.way == "skips":
            raise NotApplicable("its backbone has no such layer")

    def loss(self, batch) -> torch.Tensor:
        if self.way == "raise":
            raise ValueError("the sizes do not fit:\n  expected 3")
        if self.way == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.way == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.way == "hang":
            time.sleep(600)
        if self.way == "print":
            print("hello from the plugin")
        loss = self.backbone(batch.inputs).square().mean()
        return loss * float("nan") if self.way == "nan" else loss

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        if self.way == "collapse":
            return torch.ones(len(images), 4)
        if self.way == "late":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.way == "encode":
            return torch.full((len(images), 4), float("inf"))
        return self.backbone(images)


def applies(data, config: Config) -> str:
    if config.way == "applies":
        raise LookupError("no such declaration")
    return ""


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="bad", kind="pretext", build=Bad, config=Config, source="a test", applies=applies)
