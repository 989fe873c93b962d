"""The words for what a method gives: what is wrong is said, and what is right passes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.answers import company_fault, features_fault, finite_fault, loss_fault, shape_fault


@pytest.mark.parametrize(
    ("name", "loss", "fault"),
    [
        ("", torch.ones((), requires_grad=True), ""),
        ("", {"loss": 1}, "the loss returned a dict, expected a tensor"),
        ("", None, "the loss returned a NoneType, expected a tensor"),
        ("critic", torch.ones(3), "the loss critic returned (3,), expected (): reduce it, e.g. by .mean()"),
        ("", torch.ones(1), "the loss returned (1,), expected (): reduce it, e.g. by .mean()"),
        ("critic", torch.ones(()), "the loss critic has no gradient: no trainable weight is in it"),
    ],
)
def test_losses(name: str, loss: object, fault: str) -> None:
    assert loss_fault(name, loss).startswith(fault)
    assert bool(loss_fault(name, loss)) == bool(fault)


def test_shapes_and_finite_values() -> None:
    assert shape_fault("x", torch.ones(2, 3), (2, 3)) == ""
    assert shape_fault("x", torch.ones(2, 3), (3, 2)) == "x returned (2, 3), expected (3, 2)"
    assert finite_fault("x", torch.ones(2)) == ""
    assert finite_fault("x", torch.tensor([1.0, float("nan")])) == "x returned values that are not finite"


@pytest.mark.parametrize(
    ("features", "fault"),
    [
        (torch.ones(4, 2), ""),
        (torch.ones(4, 2, 1), "encode() returned (4, 2, 1), expected (4, D): flatten before returning"),
        (torch.ones(3, 2), "encode() returned (3, 2), expected (4, D): flatten before returning"),
        ((torch.ones(4, 2), 1), "encode() returned a tuple, expected a tensor"),
    ],
)
def test_features(features: object, fault: str) -> None:
    assert features_fault("encode()", features, 4) == fault


def test_an_answer_must_not_depend_on_its_company() -> None:
    inputs = torch.randn(16, 3) * 100
    sound, batch_norm = nn.Linear(3, 5), nn.BatchNorm1d(3)

    def fault(function: object, **options: str) -> str:
        return company_fault("encode()", function, inputs, tolerance=1e-3, **options)  # type: ignore[arg-type]

    assert fault(sound) == ""
    assert fault(batch_norm.eval()) == ""
    assert fault(batch_norm.train()).endswith("with the other images of its batch")
    assert fault(lambda x: x - x.mean(0), thing="text").startswith("encode() of a text changes by ")
    assert (
        fault(lambda x: x + torch.randn_like(x))
        == "encode() gave two answers to the same images: no noise in eval mode"
    )
    assert fault(lambda x: x * (1 + 1e-5 * len(x))) == ""  # as little as rounding may make
    assert company_fault("encode()", lambda x: x - x.mean(0), inputs[:2], tolerance=1e-3) != ""
