"""Networks of timm as backbones: built without weights for the source, or a line that says why not."""

from __future__ import annotations

import pytest
import torch

from harness.data.fields import DataSpec, ImageField
from harness.errors import NotApplicable, UnknownName
from harness.nn import pretrained
from harness.registry import Registry
from harness_plugins.backbones import timm as plugin

library = pytest.importorskip("timm")
GREY = DataSpec(inputs=ImageField(channels=1, size=28, mean=(0.3,), std=(0.4,)))


def test_a_network_is_timms_own_for_the_sources_channels() -> None:
    torch.manual_seed(0)
    net = plugin.build(GREY, plugin.Config(model="resnet18")).eval()
    torch.manual_seed(0)
    twin = library.create_model("resnet18", pretrained=False, in_chans=1, num_classes=0).eval()
    images = torch.rand(3, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(net(images), twin((images - 0.3) / 0.4))
    assert (net.dim, net.any_size) == (512, True)
    assert net.trunk(torch.rand(2, 1, 9, 9)).shape == (2, 512)


@pytest.mark.parametrize(("model", "has_maps"), [("resnet18", True), ("mobilenetv3_small_050", False)])
def test_maps_are_offered_where_their_mean_is_the_representation(model: str, has_maps: bool) -> None:
    net = plugin.build(GREY, plugin.Config(model=model)).eval()
    images = torch.rand(3, 1, 28, 28)
    if has_maps:
        with torch.no_grad():
            torch.testing.assert_close(net.maps(images).mean((2, 3)), net(images))
    else:
        with pytest.raises(NotApplicable, match="needs feature maps"):
            net.maps(images)


def test_a_transformer_is_built_for_the_sources_size_and_bound_to_it() -> None:
    net = plugin.build(GREY, plugin.Config(model="vit_tiny_patch16_224"))
    assert net(torch.rand(2, 1, 28, 28)).shape == (2, 192)
    assert not net.any_size


def test_looking_at_a_network_leaves_it_as_it_was() -> None:
    torch.manual_seed(0)
    net = plugin.build(GREY, plugin.Config(model="resnet18"))
    torch.manual_seed(0)
    twin = library.create_model("resnet18", pretrained=False, in_chans=1, num_classes=0)
    assert net.trunk.training
    for name, value in twin.state_dict().items():
        assert torch.equal(net.trunk.state_dict()[name], value), name


@pytest.mark.parametrize(("model", "size"), [("convnext_atto", 16), ("vit_tiny_patch16_224", 8), ("vgg11", 28)])
def test_a_size_that_is_too_small_is_said_in_one_line(model: str, size: int) -> None:
    small = DataSpec(inputs=ImageField(channels=3, size=size))
    with pytest.raises(
        NotApplicable, match=rf"timm's {model} takes no images of {size}x{size}x3 \(.*\): choose"
    ) as told:
        plugin.build(small, plugin.Config(model=model))
    assert "\n" not in str(told.value)


def test_a_misspelt_model_is_named_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"there is no model 'rsnet18': did you mean 'resnet18'\?"):
        plugin.Config(model="rsnet18")
    with pytest.raises(ValueError, match="there is no model 'zzzzzz': timm's list_models"):
        plugin.Config(model="zzzzzz")


def test_without_the_library_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"timm is not installed: pip install 'harness\[timm\]'"):
        plugin.Config(model="resnet18")


def test_the_spelling_of_distributions_is_answered_with_the_right_one() -> None:
    with pytest.raises(UnknownName, match=r"'timm' is a plugin: write timm\[model=resnet18\]"):
        Registry().find("timm:resnet18", ("backbone",))


def test_it_is_an_error_of_the_request(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from harness.cli import main

    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    monkeypatch.setattr("sys.argv", ["harness", "bench", "--backbone", "timm[model=resnet18]", "--dry-run"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "pip install 'harness[timm]'" in capsys.readouterr().err
