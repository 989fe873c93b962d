"""A network of torchvision with weights from the disk: `torchvision-encoder[model=resnet50]`. It is never trained.

B images, C channels, H=W pixels, S pixels of the network's input, D features.
The representation is what the last linear layer, the classifier, sees. Images are resized to the size that the weights
were trained at, in three channels, and standardised as then. Nothing is fetched while a cell runs: weights that are
asked for by their name, DEFAULT or IMAGENET1K_V1, must lie in torch's hub folder already.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision import models

from harness.nn.pretrained import PretrainedEncoder, numbers_of, require_known, require_takes
from harness.nn.stored_weights import load_whole, stored_weights
from harness.plugin import DataSpec, ImageField, MethodSpec, NotApplicable, RequestError, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    model: str  # a name of torchvision.models.list_models(): resnet50, vit_b_16
    weights: str = "DEFAULT"  # a name of the model's weights, or the path of a file
    size: int = 0  # S, in pixels; 0: that of the model's weights, mostly 224
    mean: str = ""  # of each channel in training, in [0,1], such as '0.5,0.5,0.5'; empty: of the model's weights
    std: str = ""  # likewise

    def __post_init__(self) -> None:
        require_known(self.model, models.list_models(module=models), "torchvision")
        numbers_of(self.mean, "mean")
        numbers_of(self.std, "std")
        if self.size < 0:
            raise ValueError("size is in pixels, or 0 for that of the model's weights")


def files(config: Config) -> list[Path]:
    """The weights. Raises RequestError, with the command that fetches them, where they are not on the disk."""
    file = weights_file(config)
    if named(config) and not file.is_file():
        command = f"from torchvision.models import get_model; get_model('{config.model}', weights='{config.weights}')"
        raise RequestError(
            f"the weights {config.weights} of torchvision's {config.model} are not in {file.parent}: "
            f'fetch them with python -c "{command}"'
        )
    return [file]


def named(config: Config) -> bool:
    """Are the weights asked for by a name of torchvision's, and not by a path?"""
    return config.weights in models.get_model_weights(config.model).__members__


def weights_file(config: Config) -> Path:
    if not named(config):
        return Path(config.weights).expanduser()
    url: str = models.get_model_weights(config.model)[config.weights].url
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def build(backbone: None, data: DataSpec[ImageField], config: Config) -> PretrainedEncoder:
    network, head = without_classifier(config.model)
    file = weights_file(config)
    prefix = load_whole(network, stored_weights(file), unused=(f"{head}.",))
    seen: Any = models.get_model_weights(config.model).DEFAULT.transforms()
    size = config.size or seen.crop_size[0]
    require_takes(network, 3, size, f"torchvision's {config.model}")
    return PretrainedEncoder(
        network,
        size=size,
        mean=numbers_of(config.mean, "mean") or seen.mean,
        std=numbers_of(config.std, "std") or seen.std,
        note=f"all weights from {file.name}" + (f", where they are called {prefix}*" if prefix else ""),
    )


def without_classifier(model: str) -> tuple[nn.Module, str]:
    """An untrained network whose last linear layer lets through what it sees, and the name of that layer."""
    network = models.get_model(model, weights=None)
    linear = [name for name, part in network.named_modules() if isinstance(part, nn.Linear)]
    if not linear:
        raise NotApplicable(f"torchvision's {model} has no linear classifier to take the input of: choose another")
    network.set_submodule(linear[-1], nn.Identity())
    return network, linear[-1]


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="torchvision-encoder",
        kind="pretrained",
        build=build,
        config=Config,
        uses_backbone=False,
        files=files,
        source="pytorch.org/vision/stable/models",
    )
