"""`--compile`: backbones are compiled while a method trains, and only then; what fails says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from harness.compilation import CompiledSteps
from harness.data.columns import InMemory
from harness.data.fields import DataSpec, ImageField
from harness.data.rows import Rows
from harness.errors import TrainingFailed
from harness.expansion import expand
from harness.nn.backbone import Backbone
from harness.records import Budget, TrainConfig, TrainingResult
from harness.registry import Registry
from harness.suite import make_request
from harness.trainer import train

SPEC = DataSpec(inputs=ImageField(channels=1, size=8))
ROWS = Rows(inputs=InMemory(torch.randint(0, 256, (64, 1, 8, 8), dtype=torch.uint8)))


class Method(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = Backbone(nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), 4, SPEC, any_size=False)

    def loss(self, batch) -> torch.Tensor:
        return self.backbone(batch.inputs).square().mean()

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return self.backbone(images)


def trained(method: nn.Module, *, compile: bool) -> TrainingResult:
    config = TrainConfig(batch_size=16, compile=compile)
    budget = Budget.parse("3 steps")
    return train(method, ROWS, SPEC, config, budget, seed=0, precision="fp32", progress=lambda done, scalars: None)


def compiler(monkeypatch: pytest.MonkeyPatch, backend: str | Callable[..., Any]) -> list[Any]:
    """torch.compile with another backend: the real one takes minutes. What it was called with."""
    real, given = torch.compile, []

    def compiled(function: Any) -> Any:
        given.append(function)
        return real(function, backend=backend)

    monkeypatch.setattr(torch, "compile", compiled)
    return given


def test_the_trunk_is_compiled_while_it_trains_with_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    given = compiler(monkeypatch, "eager")
    method = Method()
    result, plain = trained(method, compile=True), trained(Method(), compile=False)
    assert len(given) == 1
    assert "forward" not in vars(method.backbone.trunk)
    assert result.loss == pytest.approx(plain.loss, rel=1e-6)
    assert result.note.startswith("compiled: the first step took ")
    assert plain.note == ""


def test_a_compiler_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("the compiler is gone")

    compiler(monkeypatch, broken)
    method = Method()
    with pytest.raises(TrainingFailed, match=r"first step with --compile failed, run it without: .*compiler is gone"):
        trained(method, compile=True)
    assert "forward" not in vars(method.backbone.trunk)


def test_copies_of_a_backbone_are_compiled_too_and_only_within_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    given = compiler(monkeypatch, "eager")
    both = nn.ModuleList([Method(), Method()])
    trunks = [method.backbone.trunk for method in both]
    steps = CompiledSteps(both)
    steps(lambda: torch.tensor(float(all("forward" in vars(trunk) for trunk in trunks))))
    assert len(given) == 2
    assert not any("forward" in vars(trunk) for trunk in trunks)


def test_compile_is_part_of_what_is_asked_for() -> None:
    cells = expand(make_request({"plugins": "rotation", "references": "none", "seeds": 1, "compile": True}), Registry())
    assert [cell.train.compile for cell in cells] == [True]


def test_compile_is_true_or_false() -> None:
    with pytest.raises(Exception, match="'compile' cannot be 'yes'"):
        make_request({"compile": "yes"})
