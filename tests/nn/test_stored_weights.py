"""Weights from files: read without running code, fitted whole or not at all, and what does not match is listed."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from harness.errors import TrainingFailed
from harness.nn.stored_weights import load_whole, stored_weights
from harness.weights import save_weights


def network(width: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))


def filled() -> nn.Sequential:
    net = network()
    for value in net.state_dict().values():
        value.copy_(torch.rand_like(value.float()) + 1)
    return net


def named(prefix: str, net: nn.Module) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in net.state_dict().items()}


def same(one: nn.Module, other: nn.Module) -> bool:
    values = other.state_dict()
    return all(torch.equal(value, values[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "encoder_q.", "module.student.backbone."])
def test_weights_are_found_behind_any_prefix(tmp_path: Path, suffix: str, prefix: str) -> None:
    net, file = filled(), tmp_path / f"weights{suffix}"
    weights = {**named(prefix, net), "head.weight": torch.rand(2, 2)} if prefix else named("", net)
    if suffix == ".safetensors":
        save_file(weights, file)
    else:
        torch.save(weights, file)
    copy = network()
    assert load_whole(copy, stored_weights(file)) == prefix
    assert same(net, copy)


def test_a_state_dict_may_lie_inside_a_checkpoint(tmp_path: Path) -> None:
    net = filled()
    content = {"epoch": 3, "args": {"lr": 0.1, "name": "x"}, "state_dict": named("module.", net), "optimizer": [1, 2]}
    torch.save(content, tmp_path / "moco.pth")
    assert load_whole(copy := network(), stored_weights(tmp_path / "moco.pth")) == "state_dict.module."
    assert same(net, copy)


def test_names_that_share_a_tensor_in_a_file_of_harness_are_all_there(tmp_path: Path) -> None:
    class Method(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.online = nn.Sequential(filled(), nn.Linear(3, 1))
            self.backbone = self.online[0]

    method = Method()
    save_weights(method, tmp_path / "method.safetensors")
    weights = stored_weights(tmp_path / "method.safetensors")
    assert load_whole(copy := network(), weights, prefix="backbone.") == "backbone."
    assert same(method.backbone, copy)


def test_two_sets_of_weights_are_a_question() -> None:
    weights = named("encoder_q.", filled()) | named("encoder_k.", filled())
    with pytest.raises(TrainingFailed, match=r"several sets .* write prefix=encoder_k\. or prefix=encoder_q\."):
        load_whole(network(), weights)
    second = filled()
    load_whole(copy := network(), named("encoder_q.", filled()) | named("encoder_k.", second), prefix="encoder_k.")
    assert same(second, copy)


def test_what_does_not_match_is_listed_and_nothing_is_loaded() -> None:
    weights = named("module.", filled())
    del weights["module.1.bias"]
    weights |= {"module.0.weight": torch.rand(4, 2), "module.fc.weight": torch.rand(1), "module.fc.bias": torch.rand(1)}
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(TrainingFailed) as told:
        load_whole(net, weights)
    assert str(told.value) == (
        "5 of 7 weights fit after the prefix 'module.': 1 missing: 1.bias; 2 left over: fc.weight, fc.bias; "
        "1 of another shape: 0.weight 4x2 for 3x2"
    )
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_classifier_may_be_left_over_where_that_is_said() -> None:
    weights = named("", filled()) | {"fc.weight": torch.rand(1)}
    with pytest.raises(TrainingFailed, match=r"7 of 7 weights fit: 1 left over: fc\.weight"):
        load_whole(network(), weights)
    assert load_whole(network(), weights, unused=("fc.",)) == ""
    with pytest.raises(TrainingFailed, match=r"1 left over: fc\.weight"):
        load_whole(network(), weights, unused=("head.",))


def test_old_files_do_not_count_batches() -> None:
    weights = named("", net := filled())
    del weights["1.num_batches_tracked"]
    load_whole(copy := network(), weights)
    assert torch.equal(copy[1].running_var, net[1].running_var)


def test_a_file_of_another_network_says_that_nothing_fits() -> None:
    with pytest.raises(
        TrainingFailed, match=r"^0 of 7 weights fit: 6 missing: 0\.weight, 0\.bias, 1\.weight and 3 more"
    ):
        load_whole(network(), {"conv.kernel": torch.rand(3)})


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "was run",))

    torch.save({"weight": Evil()}, tmp_path / "evil.pt")
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil()))
    (tmp_path / "evil.safetensors").write_bytes(b"no such thing")
    for name in ("evil.pt", "evil.pth", "evil.safetensors"):
        with pytest.raises(TrainingFailed, match=f"{name} holds no weights that can be read safely") as told:
            stored_weights(tmp_path / name)
        assert "\n" not in str(told.value)
    assert not (tmp_path / "was run").exists()
