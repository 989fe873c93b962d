"""Contrastive losses beside lightly's, in value and gradient, where it is installed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.nn.contrastive import info_nce, nt_xent
from harness_plugins.pretext.nnclr import nearest

losses = pytest.importorskip("lightly.loss")
modules = pytest.importorskip("lightly.models.modules")

B, P, Q = 16, 8, 40


def embeddings() -> tuple[Tensor, Tensor, Tensor]:
    """Of two views (B,P) and a queue (Q,P)."""
    generator = torch.Generator().manual_seed(0)
    one, other, queue = (torch.randn(n, P, generator=generator) for n in (B, B, Q))
    return one.requires_grad_(), other.requires_grad_(), queue


def assert_equal(ours: Tensor, theirs: Tensor, *weights: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    pairs = zip(torch.autograd.grad(ours, weights), torch.autograd.grad(theirs, weights), strict=True)
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_nt_xent(temperature: float) -> None:
    one, other, _ = embeddings()
    theirs = losses.NTXentLoss(temperature=temperature)
    assert_equal(nt_xent(one, other, temperature), theirs(one, other), one, other)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_moco_with_a_queue(temperature: float) -> None:
    queries, keys, queue = embeddings()
    theirs = losses.NTXentLoss(temperature=temperature, memory_bank_size=(Q, P))
    theirs.memory_bank.bank = torch.nn.functional.normalize(queue, dim=1)
    ours = info_nce(queries, keys.detach(), queue, temperature)
    assert_equal(ours, theirs(queries, keys.detach()), queries)


def test_nearest_neighbours_of_nnclr() -> None:
    one, _, queue = embeddings()
    theirs = modules.NNMemoryBankModule(size=(Q, P))
    theirs.bank = torch.nn.functional.normalize(queue, dim=1)
    torch.testing.assert_close(nearest(one, queue), theirs(one.detach()))
