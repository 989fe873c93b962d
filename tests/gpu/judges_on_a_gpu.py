"""Evaluations that do something to the GPU that they are given. An unpackaged plugin file."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from harness.plugin import EvaluationSpec, ScoreSpec, ScoreValue, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    way: str = "none"


def index(subject):
    table = torch.zeros(3, device=subject.device)
    torch.cuda.synchronize()
    return float(table[torch.tensor([7], device=subject.device)].sum())


def index_later(subject):
    """The error shows after it has ended."""
    table = torch.zeros(3, device=subject.device)
    table[torch.tensor([7], device=subject.device)].sum()
    return 0.5


def memory(subject):
    return float(torch.empty(2**42, device=subject.device).sum())


def tf32(subject):
    torch.backends.cuda.matmul.allow_tf32 = True


def no_cudnn(subject):
    torch.backends.cudnn.enabled = False


def zero_features(subject):
    subject.features("test").zero_()


def zero_weights(subject):
    for weight in subject.method.parameters():
        weight.data.zero_()


def run(subject, config):
    ways = {way.__name__: way for way in (index, index_later, memory, tf32, no_cudnn, zero_features, zero_weights)}
    return {"mean": ScoreValue(ways[config.way](subject) or 0.5)}


@hookimpl
def harness_evaluation():
    scores = (ScoreSpec(name="mean", unit="", better="none"),)
    return EvaluationSpec(name="gpu-judge", run=run, scores=scores, config=Config)
