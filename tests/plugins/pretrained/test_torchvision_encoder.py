"""Encoders of torchvision: its own networks with weights from small local files, seen as in training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms.functional import InterpolationMode, resize

from harness.contract.kit import check_plugin
from harness.data.fields import DataSpec, ImageField
from harness.errors import NotApplicable, RequestError, TrainingFailed
from harness.loading import data_root
from harness.plugin.capabilities import capabilities_of
from harness.registry import METHOD_KINDS, Registry
from harness_plugins.pretrained import torchvision_encoder as plugin
from harness_plugins.pretrained.torchvision_encoder import Config

SPEC = DataSpec(inputs=ImageField(channels=1, size=8))
SMALL = "shufflenet_v2_x0_5"


def saved(folder: Path, model: str = SMALL, **options) -> tuple[nn.Module, Path]:
    """A network of random weights, and a file of them."""
    torch.manual_seed(0)
    network = models.get_model(model, weights=None, **options).eval()
    torch.save(network.state_dict(), folder / f"{model}.pth")
    return network, folder / f"{model}.pth"


def images(size: int = 8, channels: int = 1) -> Tensor:
    return torch.rand(3, channels, size, size, generator=torch.Generator().manual_seed(0))


def test_the_representation_is_what_the_classifier_sees_of_images_as_in_training(tmp_path: Path) -> None:
    network, file = saved(tmp_path)
    method = plugin.build(None, SPEC, Config(model=SMALL, weights=str(file), size=32))
    seen = models.get_model_weights(SMALL).DEFAULT.transforms()
    large = resize(images().expand(-1, 3, -1, -1), [32, 32], InterpolationMode.BICUBIC, antialias=True).clamp(0, 1)
    standard = (large - torch.tensor(seen.mean).view(3, 1, 1)) / torch.tensor(seen.std).view(3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(network.fc(method.encode(images())), network(standard))
    assert capabilities_of(method) == {"encode"}


@pytest.mark.parametrize(("model", "dim"), [("mobilenet_v3_small", 1024), ("squeezenet1_1", 0), ("densenet121", 1024)])
def test_any_classifier_that_ends_in_a_linear_layer_is_taken_off(tmp_path: Path, model: str, dim: int) -> None:
    _, file = saved(tmp_path, model)
    config = Config(model=model, weights=str(file), size=32)
    if not dim:
        with pytest.raises(NotApplicable, match="no linear classifier"):
            plugin.build(None, SPEC, config)
        return
    assert plugin.build(None, SPEC, config).encode(images()).shape == (3, dim)


def test_a_classifier_of_other_classes_may_be_in_the_file_or_not(tmp_path: Path) -> None:
    network, file = saved(tmp_path, num_classes=7)
    method = plugin.build(None, SPEC, Config(model=SMALL, weights=str(file), size=32))
    bare = {name: value for name, value in network.state_dict().items() if not name.startswith("fc.")}
    torch.save({"state_dict": {f"module.{name}": value for name, value in bare.items()}}, tmp_path / "bare.pt")
    other = plugin.build(None, SPEC, Config(model=SMALL, weights=str(tmp_path / "bare.pt"), size=32))
    assert torch.equal(method.encode(images()), other.encode(images()))
    assert other.note == "all weights from bare.pt, where they are called state_dict.module.*"


def test_size_mean_and_deviation_are_of_the_models_weights_unless_said(tmp_path: Path) -> None:
    _, file = saved(tmp_path)
    usual = plugin.build(None, SPEC, Config(model=SMALL, weights=str(file)))
    assert usual.size == 224
    assert usual.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    said = plugin.build(None, SPEC, Config(model=SMALL, weights=str(file), size=32, mean="0.1,0.2,0.3", std="1,1,1"))
    assert (said.size, said.mean.flatten().tolist()) == (32, pytest.approx([0.1, 0.2, 0.3]))


def test_weights_of_another_model_are_an_error_that_lists_them(tmp_path: Path) -> None:
    _, file = saved(tmp_path)
    with pytest.raises(TrainingFailed, match=r"of 120 weights fit: \d+ missing: "):
        plugin.build(None, SPEC, Config(model="resnet18", weights=str(file)))


def test_weights_by_name_must_be_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    config = Config(model=SMALL)
    with pytest.raises(RequestError) as told:
        plugin.files(config)
    assert str(told.value) == (
        f"the weights DEFAULT of torchvision's {SMALL} are not in {tmp_path}/checkpoints: fetch them with python -c "
        f"\"from torchvision.models import get_model; get_model('{SMALL}', weights='DEFAULT')\""
    )
    network, file = saved(tmp_path)
    place = tmp_path / "checkpoints" / models.get_model_weights(SMALL).DEFAULT.url.rpartition("/")[2]
    place.parent.mkdir()
    file.rename(place)
    assert plugin.files(config) == [place]
    method = plugin.build(None, SPEC, config)
    assert torch.equal(method.network.conv1[0].weight, network.conv1[0].weight)


@pytest.mark.parametrize(("params", "message"), [
    ({"model": "resnt50"}, "there is no model 'resnt50': did you mean 'resnet50'"),
    ({"model": SMALL, "std": "a"}, "std is one number for each channel"),
    ({"model": SMALL, "size": -3}, "size is in pixels"),
])  # fmt: skip
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**params)


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    _, file = saved(tmp_path)
    registry = Registry()
    loaded = registry.load("torchvision-encoder", METHOD_KINDS)
    checks = check_plugin(loaded, registry, data_root(), {"model": SMALL, "weights": str(file), "size": "32"})
    assert [f"{check.name}: {check.detail}" for check in checks if check.status in ("failed", "note")] == []
    assert sum(check.name.startswith("encodes_images") for check in checks if check.status == "ok") == 2
