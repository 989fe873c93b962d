"""Any network of timm by its name, built for the source and not trained: `timm[model=resnet18]`. Wightman 2019.

B images, C channels, H=W pixels, D features, h,w positions of the maps.
The network is built without weights and without its classifier, for the source's channels and, where it can be told,
its size; most take images of any size above some smallest one. Needs the library: pip install 'harness[timm]'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.nn.pretrained import require_installed, require_known, require_takes
from harness.nn.stages import Stage
from harness.plugin import Backbone, BackboneSpec, DataSpec, ImageField, NotApplicable, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    model: str  # a name of timm.list_models(): resnet18, convnext_atto, vit_tiny_patch16_224

    def __post_init__(self) -> None:
        require_installed("timm")
        import timm

        require_known(self.model, timm.list_models(), "timm")


def build(data: DataSpec[ImageField], config: Config) -> Backbone:
    channels, size, name = data.inputs.channels, data.inputs.size, f"timm's {config.model}"
    network, bound = created(config.model, channels, size)
    features = require_takes(network, channels, size, name)  # (1,D)
    if features.ndim != 2:
        raise NotApplicable(f"{name} gives {tuple(features.shape)} for an image and no vector: choose another")
    any_size = not bound and _takes(network, channels, size // 2)
    maps = maps_of if _mean_of_maps_is_all(network, channels, size) else None
    return Backbone(network, features.shape[1], data, any_size=any_size, maps=maps, stages=stages_of(network))


def created(model: str, channels: int, size: int) -> tuple[nn.Module, bool]:
    """An untrained network without a classifier, and whether it was built for this very size."""
    import timm

    options: dict[str, Any] = {"pretrained": False, "in_chans": channels, "num_classes": 0}
    try:
        return timm.create_model(model, img_size=size, **options), True
    except TypeError:  # a convolutional network, which is of no size
        return timm.create_model(model, **options), False
    except Exception as error:
        reason = " ".join(str(error).split())
        raise NotApplicable(f"timm's {model} cannot be built for {size}x{size}x{channels} images: {reason}") from error


def maps_of(network: Any, images: Tensor) -> Tensor:
    """(B,C,H,W) standardised -> (B,D,h,w)."""
    return network.forward_features(images)


def stages_of(network: Any) -> tuple[Stage, ...]:
    """As timm groups the layers of its networks, for learning rates by layer; none where it cannot be told."""
    from timm.models import group_parameters

    if not hasattr(network, "group_matcher"):
        return ()
    groups = group_parameters(network, network.group_matcher(coarse=True))  # {place: names of parameters}, in order
    parts = [tuple(dict.fromkeys(_largest_part(name, names, network) for name in names)) for names in groups.values()]
    stages = [Stage(each[0], each) for each in parts if each]
    once = all(sum(stage.holds(name) for stage in stages) == 1 for name in network.state_dict())
    return tuple(stages) if once else ()


def _largest_part(name: str, names: Sequence[str], network: nn.Module) -> str:
    """The outermost module that holds this parameter and none but `names`, so that its buffers come with it."""
    above = name.split(".")
    for depth in range(1, len(above)):
        part = ".".join(above[:depth])
        if all(f"{part}.{inner}" in names for inner, _ in network.get_submodule(part).named_parameters()):
            return part
    return name


def _takes(network: nn.Module, channels: int, size: int) -> bool:
    try:
        return require_takes(network, channels, size, "it").ndim == 2
    except NotApplicable:
        return False


def _mean_of_maps_is_all(network: nn.Module, channels: int, size: int) -> bool:
    """Is the representation the mean over positions of its last maps? Some have more layers after it."""
    training = network.training
    images = torch.linspace(-1, 1, channels * size * size).view(1, channels, size, size)
    with torch.no_grad():
        maps, features = maps_of(network.eval(), images), network(images)
    network.train(training)
    alike = maps.ndim == 4 and maps.shape[:2] == features.shape
    return alike and torch.allclose(maps.mean((2, 3)), features, rtol=1e-4, atol=1e-5)


@hookimpl
def harness_backbone() -> BackboneSpec:
    return BackboneSpec(name="timm", build=build, config=Config, source="Wightman 2019, timm (Apache 2.0)")
