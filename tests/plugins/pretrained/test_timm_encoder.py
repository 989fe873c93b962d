"""Encoders of timm: its own networks with weights from small local files, seen as in training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from harness.contract.kit import check_plugin
from harness.data.fields import DataSpec, ImageField
from harness.errors import RequestError, TrainingFailed
from harness.loading import data_root
from harness.nn import pretrained
from harness.registry import METHOD_KINDS, Registry
from harness_plugins.pretrained import timm_encoder as plugin
from harness_plugins.pretrained.timm_encoder import Config

timm = pytest.importorskip("timm")
SPEC = DataSpec(inputs=ImageField(channels=1, size=8))
SMALL = "mobilenetv3_small_050"


def saved(folder: Path, model: str = SMALL) -> tuple[nn.Module, Path]:
    torch.manual_seed(0)
    network = timm.create_model(model, pretrained=False).eval()
    save_file(network.state_dict(), folder / "weights.safetensors")
    return network, folder / "weights.safetensors"


def images() -> Tensor:
    return torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def test_the_representation_is_what_the_classifier_sees_of_images_as_in_training(tmp_path: Path) -> None:
    network, file = saved(tmp_path)
    method = plugin.build(None, SPEC, Config(model=SMALL, weights=str(file), size=32))
    seen = timm.data.resolve_model_data_config(network)
    mean, std = (torch.tensor(seen[name]).view(3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        expected = network((images().expand(-1, 3, -1, -1) - mean) / std)
        torch.testing.assert_close(network.classifier(method.encode(images())), expected)
    assert method.note == "all weights from weights.safetensors"


def test_the_size_is_the_models_own_and_a_transformer_takes_others(tmp_path: Path) -> None:
    _, file = saved(tmp_path, "vit_tiny_patch16_224")
    usual = plugin.build(None, SPEC, Config(model="vit_tiny_patch16_224", weights=str(file)))
    assert usual.size == 224
    small = plugin.build(None, SPEC, Config(model="vit_tiny_patch16_224", weights=str(file), size=48))
    assert usual.encode(images()).shape == small.encode(images()).shape == (3, 192)


def test_weights_of_another_model_are_an_error_that_lists_them(tmp_path: Path) -> None:
    _, file = saved(tmp_path)
    with pytest.raises(TrainingFailed, match=r"missing: .* left over: "):
        plugin.build(None, SPEC, Config(model="resnet18", weights=str(file)))


def test_weights_of_the_hub_must_be_in_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *where: None)
    with pytest.raises(RequestError, match=r"not in the cache .* timm\.create_model\('resnet18', pretrained=True\)"):
        plugin.weights_file(Config(model="resnet18"))
    asked = []
    _, file = saved(tmp_path)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *where: asked.append(where) or str(file))
    assert plugin.weights_file(Config(model=SMALL)) == file
    assert asked == [(f"timm/{SMALL}.lamb_in1k", "model.safetensors")]
    assert plugin.build(None, SPEC, Config(model=SMALL, size=32)).encode(images()).shape == (3, 1024)


def test_bad_parameters_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="there is no model 'resnt18': did you mean 'resnet18'"):
        Config(model="resnt18")
    with pytest.raises(ValueError, match="size is in pixels"):
        Config(model=SMALL, size=-1)
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"timm is not installed: pip install 'harness\[timm\]'"):
        Config(model=SMALL)


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    _, file = saved(tmp_path)
    registry = Registry()
    loaded = registry.load("timm-encoder", METHOD_KINDS)
    checks = check_plugin(loaded, registry, data_root(), {"model": SMALL, "weights": str(file), "size": "32"})
    assert [f"{check.name}: {check.detail}" for check in checks if check.status in ("failed", "note")] == []
    assert sum(check.name.startswith("encodes_images") for check in checks if check.status == "ok") == 2
