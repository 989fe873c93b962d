"""ResNet-18 with the small-image stem: a 3x3 convolution of stride 1, no max-pooling. He et al. 2016, arXiv:1512.03385.

B images, C channels, H=W pixels, D = 512 features. torchvision's network without its classifier; the stem is the one
that the paper uses on CIFAR-10 (section 4.2), without which 32-pixel images lose about eight points of accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torchvision.models import ResNet, resnet18

from harness.nn.layers import SpatialMean, normalisation
from harness.nn.stages import Stage
from harness.plugin import Backbone, BackboneSpec, DataSpec, ImageField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    norm: Literal["batch", "layer", "none"] = "batch"  # after each convolution; layer: over channels and positions
    dropout: float = 0.0  # probability in [0,1) of zeroing a feature, in training

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout is a probability in [0,1)")


def build(data: DataSpec[ImageField], config: Config) -> Backbone:
    net = resnet18(weights=None, norm_layer=lambda width: nn.Sequential(*normalisation(config.norm, width)))
    net.conv1 = nn.Conv2d(data.inputs.channels, 64, 3, stride=1, padding=1, bias=config.norm == "none")
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    net.maxpool = nn.Identity()
    net.avgpool = SpatialMean()
    net.fc = nn.Dropout(config.dropout)
    return Backbone(
        net, 512, data, any_size=True, maps=maps_before_the_mean, stages=STAGES, pooled=mean_of_maps
    )  # (B,C,H,W) -> (B,512)


def stem(net: ResNet, inputs: Tensor) -> Tensor:
    """(B,C,H,W) standardised -> (B,64,H,W)."""
    return net.maxpool(net.relu(net.bn1(net.conv1(inputs))))


STAGES = (
    Stage("stem", ("conv1", "bn1"), stem),
    Stage("layer 1", ("layer1",), lambda net, maps: net.layer1(maps)),  # (B,64,H,W)
    Stage("layer 2", ("layer2",), lambda net, maps: net.layer2(maps)),  # (B,128,H/2,W/2)
    Stage("layer 3", ("layer3",), lambda net, maps: net.layer3(maps)),  # (B,256,H/4,W/4)
    Stage("layer 4", ("layer4",), lambda net, maps: net.layer4(maps)),  # (B,512,H/8,W/8)
)


def maps_before_the_mean(net: nn.Module, inputs: Tensor) -> Tensor:
    """(B,C,H,W) standardised -> (B,512,h,w) with h = H/8, rounded up: torchvision's forward without its last three."""
    assert isinstance(net, ResNet)
    return net.layer4(net.layer3(net.layer2(net.layer1(stem(net, inputs)))))


def mean_of_maps(net: nn.Module, maps: Tensor) -> Tensor:
    """(B,512,h,w) -> (B,512): those last three, which have no weights."""
    assert isinstance(net, ResNet)
    return net.fc(net.avgpool(maps).flatten(1))


@hookimpl
def harness_backbone() -> BackboneSpec:
    return BackboneSpec(name="resnet18", build=build, config=Config, source="arXiv:1512.03385")
