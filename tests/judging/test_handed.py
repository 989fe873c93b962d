"""Writes into what is shared are found: those that torch counts always, those around it once it is sealed."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.data.columns import InMemory
from harness.data.rows import Rows
from harness.judging.handed import Frozen, Handed

AROUND: dict[str, Callable[[Tensor], object]] = {
    "numpy": lambda values: values.numpy().__setitem__(0, 9),
    "asarray": lambda values: np.asarray(values).fill(3),
    "data": lambda values: values.data.zero_(),
    "order": lambda values: np.random.default_rng(0).shuffle(values.numpy()),
}


@pytest.mark.parametrize("write", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize(
    "values",
    [torch.rand(10, 4), torch.arange(10), torch.rand(4, 10).t(), torch.rand(30)[5:15], torch.rand(10).double()],
    ids=["features", "labels", "transposed", "part", "float64"],
)
def test_a_write_around_torch_shows_in_the_checksum(values: Tensor, write: Callable[[Tensor], object]) -> None:
    handed = Handed()
    values = values.clone(memory_format=torch.preserve_format)
    handed.add("features", values)
    handed.seal()
    assert handed.written() == []
    write(values)
    assert handed.written() == ["features"]


def test_torchs_own_writes_are_found_without_a_seal_and_rows_are_named_by_what_they_are() -> None:
    rows = Rows(inputs=InMemory(torch.zeros(3, 1, 2, 2, dtype=torch.uint8)), labels=torch.arange(3))
    handed = Handed()
    handed.add("images", rows)
    assert rows.labels is not None
    rows.labels[0] = 2
    assert handed.written() == ["labels"]
    rows.values.add_(1)
    assert handed.written() == ["images", "labels"]


@pytest.mark.parametrize(
    "values", [torch.zeros(0, 3), torch.zeros(()), torch.zeros(2, device="meta"), torch.eye(2).to_sparse()]
)
def test_odd_tensors_have_a_checksum_too(values: Tensor) -> None:
    handed = Handed()
    handed.add("features", values)
    handed.seal()
    assert handed.written() == []


def test_a_frozen_method_that_is_used_has_not_changed() -> None:
    method = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval().requires_grad_(False)
    frozen = Frozen.of(method)
    method(torch.rand(2, 1, 8, 8))
    assert frozen.changed() == []
    method[1].train()
    method[0].register_forward_pre_hook(lambda *_: None)
    assert frozen.changed() == ["left the model in train mode", "left hooks or functions of its own on the model"]


def test_looking_costs_little() -> None:
    """200 MB in a tenth of a second where code of others judges, and next to nothing elsewhere."""
    handed = Handed()
    handed.add("features", torch.rand(100_000, 500))
    times = []
    for _ in range(5):
        started = time.perf_counter()
        assert handed.written() == []
        times.append(time.perf_counter() - started)
    assert min(times) < 0.05
