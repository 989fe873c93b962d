"""The levels of feature maps, the decoder of maps, and VGG-16 from a file of weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models.vgg import cfgs, make_layers

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.errors import NotApplicable
from harness.nn.perception import AutoencoderPerception, ClassifierPerception, MapDecoder, VggPerception, stage_maps
from harness_plugins.backbones import convnet, mlp, resnet18

SPEC = DataSpec(inputs=ImageField(channels=3, size=16))


@pytest.mark.parametrize(
    ("plugin", "config", "widths", "sizes"),
    [
        (convnet, {}, [32, 64, 128], [16, 8, 4]),
        (convnet, {"norm": "none", "dropout": 0.5, "stages": 2}, [32, 64], [16, 8]),
        (resnet18, {}, [64, 128, 256, 512], [16, 8, 4, 2]),
    ],
)
def test_levels_are_the_stages_of_a_backbone(plugin, config: dict, widths: list[int], sizes: list[int]) -> None:
    backbone = plugin.build(SPEC, plugin.Config(**config)).eval()
    images = torch.rand(2, 3, 16, 16)
    levels = stage_maps(backbone, images)
    assert [maps.shape[1] for maps in levels] == widths
    assert [maps.shape[-1] for maps in levels] == sizes
    assert all(maps.min() >= 0 for maps in levels), "a level ends with its ReLU"
    torch.testing.assert_close(levels[-1], backbone.maps(images))


def test_a_backbone_without_positions_is_a_reason_to_skip() -> None:
    with pytest.raises(NotApplicable, match="convolutional backbone"):
        AutoencoderPerception(mlp.build(SPEC, mlp.Config()), SPEC)


@pytest.mark.parametrize(("map_size", "size"), [(2, 8), (4, 16), (7, 28), (4, 30), (8, 32), (16, 16)])
def test_maps_become_images_of_any_size(map_size: int, size: int) -> None:
    decoder = MapDecoder(64, map_size, DataSpec(inputs=ImageField(channels=1, size=size)))
    images = decoder(torch.randn(2, 64, map_size, map_size))
    assert images.shape == (2, 1, size, size)
    assert 0 <= images.min() <= images.max() <= 1


def test_what_a_perception_learns_from() -> None:
    backbone = convnet.build(SPEC, convnet.Config(width=4))
    images, labels = torch.rand(6, 3, 16, 16), torch.arange(6) % 2
    drawing = AutoencoderPerception(backbone, SPEC).eval()
    expected = (drawing.decoder(backbone.maps(images)) - images).square().mean()
    torch.testing.assert_close(drawing.loss(Batch(inputs=images)), expected)
    labelled = ClassifierPerception(
        backbone, DataSpec(inputs=ImageField(channels=3, size=16), classes=("a", "b"))
    ).eval()
    chosen = labelled.classify(backbone(images)).log_softmax(1)[torch.arange(6), labels]
    torch.testing.assert_close(labelled.loss(Batch(inputs=images, labels=labels)), -chosen.mean())
    with pytest.raises(NotApplicable, match="needs labels"):
        ClassifierPerception(backbone, SPEC)


def test_vgg_is_read_from_the_hub_s_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    folder = tmp_path / "checkpoints"
    with pytest.raises(NotApplicable, match=r"put torchvision's vgg16-397923af.pth into .*checkpoints"):
        VggPerception(SPEC)
    torch.manual_seed(0)
    layers = make_layers(cfgs["D"])  # all of VGG-16's convolutions
    folder.mkdir()
    weights = {f"features.{key}": value for key, value in layers.state_dict().items()}
    torch.save(weights, folder / "vgg16-397923af.pth")
    vgg = VggPerception(SPEC).eval()
    images = torch.rand(2, 3, 16, 16)
    shown = (images - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        3, 1, 1
    )
    with torch.no_grad():
        torch.testing.assert_close(vgg.levels(images)[-1], layers[:19](shown))
    assert [maps.shape[1] for maps in vgg.levels(images)] == [64, 128, 256, 512]
    assert [maps.shape[-1] for maps in vgg.levels(images)] == [16, 8, 4, 2]
    assert not any(weight.requires_grad for weight in vgg.parameters())
    assert vgg.levels(images[:, :1])[0].shape == (2, 64, 16, 16), "grey is three equal channels"
    with pytest.raises(NotApplicable, match="16 pixels"):
        VggPerception(DataSpec(inputs=ImageField(channels=3, size=8)))
