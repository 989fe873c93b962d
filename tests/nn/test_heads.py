"""Heads: the layers that papers name, and prototypes that are cosines."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.nn.heads import Prototypes, predictor, projector
from harness.nn.schedules import cosine, linear


def test_a_projector_has_its_layers() -> None:
    head = projector(8, 16, 4, layers=3)
    assert [type(layer) for layer in head] == [nn.Linear, nn.BatchNorm1d, nn.ReLU] * 2 + [nn.Linear]
    assert head(torch.randn(5, 8)).shape == (5, 4)
    assert projector(8, 16, 4, layers=1)(torch.randn(5, 8)).shape == (5, 4)


def test_the_last_norm_has_no_weights() -> None:
    head = projector(8, 16, 4, last_norm=True)
    assert isinstance(head[-1], nn.BatchNorm1d)
    assert head[-1].weight is None
    found = head(torch.randn(64, 8))
    torch.testing.assert_close(found.mean(0), torch.zeros(4), rtol=0, atol=1e-5)


def test_a_predictor_keeps_the_width() -> None:
    assert predictor(6, 16)(torch.randn(5, 6)).shape == (5, 6)


def test_no_layers_are_no_projector() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        projector(8, 16, 4, layers=0)


def test_prototypes_are_cosines_whatever_their_length() -> None:
    prototypes, embeddings = Prototypes(6, 3), torch.randn(5, 6)
    with torch.no_grad():
        prototypes.directions.mul_(7)
    expected = torch.stack([F.cosine_similarity(embeddings, direction[None]) for direction in prototypes.directions], 1)
    torch.testing.assert_close(prototypes(embeddings), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(prototypes(embeddings), expected)


def test_schedules_start_and_end_where_they_say() -> None:
    assert [cosine(0.9, 1.0, at) for at in (0.0, 1.0)] == pytest.approx([0.9, 1.0])
    assert cosine(1.0, 0.2, 0.5) == pytest.approx(0.6)
    assert [linear(0.04, 0.07, at, until=0.3) for at in (0.0, 0.15, 0.3, 1.0)] == pytest.approx(
        [0.04, 0.055, 0.07, 0.07]
    )
    assert linear(0.0, 1.0, 0.0, until=0.0) == 1.0
