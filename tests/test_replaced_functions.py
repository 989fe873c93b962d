"""A stranger's code in the place of a library's is found and removed; what a library changes of itself is left."""

from __future__ import annotations

import functools

import pytest
import torch

import harness.judging.subject as subject
from harness.patches import Names

F = torch.nn.functional
WRAPPED = functools.wraps(torch.nn.Linear.forward)(lambda self, values: values)


@pytest.mark.parametrize(
    ("owner", "name", "value", "told"),
    [
        (F, "normalize", lambda values: values, "torch.nn.functional.normalize"),
        (F, "relu", F.gelu, "torch.nn.functional.relu"),
        (torch.nn.Linear, "forward", WRAPPED, "torch.nn.modules.linear.Linear.forward"),
        (torch.Tensor, "mean", lambda self: 0, "torch.Tensor.mean"),
        (torch, "manual_seed", functools.partial(torch.manual_seed, 3), "torch.manual_seed"),
        (subject, "ENCODING_BATCH", 1, "harness.judging.subject.ENCODING_BATCH"),
        (subject.Subject, "note", property(lambda self: ""), "harness.judging.subject.Subject.note"),
    ],
)  # fmt: skip
def test_a_replaced_name_is_told_and_put_back(owner: object, name: str, value: object, told: str) -> None:
    before = vars(owner).get(name)
    names = Names.now()
    assert names.changed() == []
    setattr(owner, name, value)
    assert told in names.changed()
    assert vars(owner).get(name) is before
    assert names.changed() == []


def test_imports_and_compilation_are_no_fault() -> None:
    names = Names.now()
    import torch._dynamo

    assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2)).tolist() == [2, 2]
    assert names.changed() == []
