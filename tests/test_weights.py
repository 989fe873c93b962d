"""Weights in a file and back: aliases once, any layout in memory, and errors that say what was being done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from harness.building import in_channels_last
from harness.errors import TrainingFailed
from harness.weights import ALIASES, load_weights, save_weights


class Aliased(nn.Module):
    """A backbone that is also a part of a Sequential, with a tensor of no elements and views of one storage."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.backbone = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
        self.head = nn.Conv2d(3, 1, 1)
        self.online = nn.Sequential(self.backbone, self.head)
        both = torch.randn(6)
        self.register_buffer("both", both)
        self.register_buffer("first_half", both[:3])
        self.register_buffer("nothing", torch.zeros(0))
        self.register_buffer("nothing_more", torch.zeros(0, 2))

    def forward(self, images: Tensor) -> Tensor:
        return self.online(images)


def file_of(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "method.safetensors"


def test_aliased_weights_that_are_channels_last_come_back(tmp_path: Path) -> None:
    method, other = in_channels_last(Aliased()), in_channels_last(Aliased(seed=1))
    save_weights(method, file_of(tmp_path))
    load_weights(other, file_of(tmp_path))
    inputs = torch.randn(2, 2, 5, 5)
    assert torch.equal(method.eval()(inputs), other.eval()(inputs))
    assert other.online[0][0].weight is other.backbone[0].weight
    assert other.backbone[0].weight.is_contiguous(memory_format=torch.channels_last)
    for name, value in method.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_every_tensor_is_written_once(tmp_path: Path) -> None:
    save_weights(Aliased(), file_of(tmp_path))
    with safe_open(file_of(tmp_path), framework="pt") as opened:
        names = set(opened.keys())
        aliases = json.loads(opened.metadata()[ALIASES])
    assert names.isdisjoint(aliases)
    assert names | set(aliases) == set(Aliased().state_dict())
    assert aliases["online.0.0.weight"] == "backbone.0.weight"
    assert {"both", "first_half", "nothing", "nothing_more"} <= names  # a part of a tensor is no alias of it


def test_weights_of_an_architecture_without_aliases_fit_one_with_them(tmp_path: Path) -> None:
    """The file holds every name, whatever shares what."""
    apart = nn.ModuleDict({"one": nn.Linear(2, 2), "two": nn.Linear(2, 2)})
    shared = nn.Linear(2, 2)
    save_weights(nn.ModuleDict({"one": shared, "two": shared}), file_of(tmp_path))
    load_weights(apart, file_of(tmp_path))
    assert torch.equal(apart["one"].weight, apart["two"].weight)
    assert torch.equal(apart["one"].weight, shared.weight)


class Extra(nn.Module):
    def get_extra_state(self) -> dict[str, int]:
        return {"steps": 3}

    def set_extra_state(self, state: object) -> None:
        raise AssertionError("nothing of the kind is saved")


def test_an_error_in_saving_says_that_it_is_one(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"could not be saved: _extra_state is a dict: keep all state in param"):
        save_weights(Extra(), file_of(tmp_path))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrainingFailed, match=r"the trained weights could not be saved: .*file"):
        save_weights(nn.Linear(1, 1), tmp_path / "file" / "method.safetensors")


def test_an_error_in_loading_says_that_it_is_one(tmp_path: Path) -> None:
    save_weights(nn.Linear(1, 1), file_of(tmp_path))
    with pytest.raises(TrainingFailed, match=r"the trained weights could not be loaded: .*size mismatch"):
        load_weights(nn.Linear(1, 2), file_of(tmp_path))
    with pytest.raises(TrainingFailed, match=r"the trained weights could not be loaded: .*No such file"):
        load_weights(nn.Linear(1, 1), tmp_path / "nothing")
