"""Encoders of transformers: its own models from small folders that save_pretrained wrote, seen as in training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from harness.contract.kit import check_plugin
from harness.data.fields import DataSpec, ImageField
from harness.errors import RequestError, TrainingFailed
from harness.loading import data_root
from harness.nn import pretrained
from harness.registry import METHOD_KINDS, Registry
from harness_plugins.pretrained import transformers_encoder as plugin
from harness_plugins.pretrained.transformers_encoder import Config

transformers = pytest.importorskip("transformers")
SPEC = DataSpec(inputs=ImageField(channels=1, size=8))
TINY = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


def saved(folder: Path, **options) -> Any:
    """A tiny ViT of random weights in a folder, with what an image processor would say."""
    torch.manual_seed(0)
    config = transformers.ViTConfig(**TINY, image_size=16, patch_size=8)
    model = transformers.ViTModel(config, **options).eval()
    model.save_pretrained(folder)
    says = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7], "size": {"height": 16, "width": 16}}
    (folder / "preprocessor_config.json").write_text(json.dumps(says))
    return model


def images() -> Tensor:
    return torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("pool", ["mean", "first", "pooler"])
def test_images_are_seen_as_the_processor_says_and_pooled_as_asked(tmp_path: Path, pool: str) -> None:
    model = saved(tmp_path)
    method = plugin.build(None, SPEC, Config(folder=str(tmp_path), pool=pool))
    mean, std = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1), torch.tensor([0.5, 0.6, 0.7]).view(3, 1, 1)
    with torch.no_grad():
        seen = model(pixel_values=(images().expand(-1, 3, -1, -1) - mean) / std)
        tokens = seen.last_hidden_state
        expected = {"mean": tokens.mean(1), "first": tokens[:, 0], "pooler": seen.pooler_output}[pool]
        torch.testing.assert_close(method.encode(images()), expected)
    assert method.encode(torch.rand(2, 1, 8, 8)).shape == (2, 8)


def test_a_convolutional_model_gives_the_mean_of_its_maps(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic")
    model = transformers.ResNetModel(config).eval()
    model.save_pretrained(tmp_path)
    method = plugin.build(None, SPEC, Config(folder=str(tmp_path), size=16))
    with torch.no_grad():
        maps = model(pixel_values=(images().expand(-1, 3, -1, -1) - 0.5) / 0.5).last_hidden_state
        torch.testing.assert_close(method.encode(images()), maps.mean((2, 3)))


def test_a_pooler_that_nobody_trained_is_not_read(tmp_path: Path) -> None:
    saved(tmp_path, add_pooling_layer=False)
    method = plugin.build(None, SPEC, Config(folder=str(tmp_path)))
    assert not [name for name in method.state_dict() if "pooler" in name]
    with pytest.raises(TrainingFailed, match=r"2 missing: pooler\.dense\.bias, .*; take pool=mean or pool=first"):
        plugin.build(None, SPEC, Config(folder=str(tmp_path), pool="pooler"))


def test_a_folder_that_lacks_weights_is_an_error_that_lists_them(tmp_path: Path) -> None:
    saved(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    lost = [name for name in weights if "layernorm" in name and not name.startswith("encoder")]
    save_file({k: v for k, v in weights.items() if k not in lost}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(TrainingFailed, match=r"2 missing: layernorm\.bias, layernorm\.weight"):
        plugin.build(None, SPEC, Config(folder=str(tmp_path)))


def test_all_of_the_folder_counts(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "README.md").write_text("no weights")
    names = [file.name for file in plugin.files(Config(folder=str(tmp_path)))]
    assert names == ["config.json", "model.safetensors", "preprocessor_config.json"]


def test_a_model_of_the_hub_must_be_in_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    for name in ("nobody/nothing", str(tmp_path / "not there")):
        with pytest.raises(RequestError, match=f"there is no model in {name}: give a folder .* hf download {name}"):
            plugin.files(Config(folder=name))
    saved(tmp_path)
    cached = str(tmp_path / "config.json")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *where: cached)
    assert plugin.folder_of(Config(folder="somebody/tiny")) == tmp_path


def test_bad_parameters_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="size is in pixels"):
        Config(folder="x", size=-1)
    with pytest.raises(ValueError, match="mean is one number for each channel"):
        Config(folder="x", mean="grey")
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"transformers is not installed: pip install 'harness\[transformers\]'"):
        Config(folder="x")


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    saved(tmp_path)
    registry = Registry()
    loaded = registry.load("transformers-encoder", METHOD_KINDS)
    checks = check_plugin(loaded, registry, data_root(), {"folder": str(tmp_path)})
    assert [f"{check.name}: {check.detail}" for check in checks if check.status in ("failed", "note")] == []
    assert sum(check.name.startswith("encodes_images") for check in checks if check.status == "ok") == 2
