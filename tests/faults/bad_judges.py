"""Evaluations that end in every way that one can, beside one that works. Loaded as an unpackaged plugin file."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from dataclasses import dataclass
from typing import Literal

import torch

from harness.plugin import EvaluationSpec, ScoreSpec, ScoreValue, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    way: Literal["none", "exit", "leave", "crash", "hang", "memory", "raise", "count", "long", "picture"] = "none"


def run(subject, config: Config):
    way = config.way
    if way == "exit":
        sys.exit(0)
    if way == "leave":
        os._exit(0)
    if way == "crash":
        read_null()
    if way == "hang":
        time.sleep(600)
    if way == "memory":
        taken = [torch.ones(2**26) for _ in range(64)]  # 16 GiB
        return {"mean": float(sum(part[0] for part in taken))}
    if way == "raise":
        raise ValueError("x" * 3_000_000)
    if way == "picture":
        subject.show_images("noise", torch.rand(1, 3, 3000, 3000), columns=1, caption="noise")
    n = "many" if way == "count" else 7
    note = "y" * 3_000_000 if way == "long" else ""
    return {"mean": ScoreValue(value=float(subject.features("test").mean()), n=n, note=note)}


def read_null() -> None:
    ctypes.string_at(0)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    scores = (ScoreSpec(name="mean", unit="1", better="higher", primary=True),)
    return EvaluationSpec(name="judge", run=run, config=Config, scores=scores, source="a test")
