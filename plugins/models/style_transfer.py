"""Style transfer in one pass, by adaptive instance normalisation (AdaIN). Huang and Belongie 2017, arXiv:1703.06868.

B images, C channels, H=W pixels, D features, h=w positions of maps.
An encoder f is frozen; a decoder g learns to draw t = AdaIN(f(content), f(style)): the maps of the content, with the
mean and the deviation that each channel has in the style. Equations 8 and 11 to 13: the loss is |f(g(t)) - t|^2 plus
10 times the distance of these statistics from the style's, over all levels of f. In training the style of an image is
the next image of the batch.
f is a named choice. `autoencoder`, `classifier`: the backbone, which spends the first half of the budget on learning
to reconstruct or to classify, and is frozen then. `vgg16`: torchvision's, if its weights are there; no backbone then.
The representation is f, averaged over positions: the content. The statistics of its maps are the style code.
Differs from the paper: VGG-16 or a small f in place of VGG-19; styles of the same dataset; nearest-neighbour doubling
to small images; squared distances are means, not sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.adain import adain, style_code, style_distance
from harness.nn.perception import (
    AutoencoderPerception,
    ClassifierPerception,
    MapDecoder,
    VggPerception,
    too_small_for_vgg,
    vgg_file,
)
from harness.nn.translators import same_for_all
from harness.plugin import Backbone, Batch, DataSpec, ImageField, Information, MethodSpec, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    perception: Literal["autoencoder", "classifier", "vgg16"] = "autoencoder"  # what the encoder has learned
    pretrain: float = 0.5  # fraction of the budget in (0,1) that the encoder learns for; vgg16 has no need of it
    content_weight: float = 1.0
    style_weight: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.pretrain < 1:
            raise ValueError("pretrain is a fraction of the budget, above 0 and below 1")
        if self.content_weight < 0 or self.style_weight < 0:
            raise ValueError("content_weight and style_weight must not be negative")


class StyleTransfer(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.perception = perception_of(config.perception, backbone, data)
        blank = torch.zeros(1, *data.inputs.shape)
        with torch.no_grad():
            map_size = self.perception.eval().levels(blank)[-1].shape[-1]  # h
        self.decoder = MapDecoder(self.perception.dim, map_size, data)
        self.train()

    @property
    def backbone(self) -> Backbone:
        return self.perception.backbone  # type: ignore[return-value]  # (B,C,H,W) -> (B,D); vgg16 has none

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        if not isinstance(self.perception, VggPerception) and batch.progress < self.config.pretrain:
            loss = self.perception.loss(batch)
            batch.log("perception", loss)
            yield "perception", loss
            return
        self.perception.eval()  # frozen: no more steps, and no more batch statistics
        with torch.no_grad():
            levels = self.perception.levels(batch.inputs)  # (B,D_l,h_l,w_l) each
        yield "decoder", self._drawing_loss(levels, [maps.roll(1, 0) for maps in levels], batch)

    def _drawing_loss(self, content: list[Tensor], style: list[Tensor], batch: Batch) -> Tensor:
        """How far the drawing is from the wanted maps, and its statistics from those of the style."""
        wanted = adain(content[-1], style[-1])  # t (B,D,h,w)
        drawn = self.perception.levels(self.decoder(wanted))
        content_loss, style_loss = F.mse_loss(drawn[-1], wanted), style_distance(drawn, style)
        batch.log("content", content_loss)
        batch.log("style", style_loss)
        return self.config.content_weight * content_loss + self.config.style_weight * style_loss

    def stylise(self, content: Tensor, style: Tensor) -> Tensor:
        wanted = adain(self.perception.levels(content)[-1], self.perception.levels(style)[-1])
        return self.decoder(wanted)  # (B,C,H,W)

    def readouts(self) -> tuple[str, ...]:
        return ("features (content)", "channel statistics (style)")

    def read(self, images: Tensor, readout: str) -> Tensor:
        if readout == "channel statistics (style)":
            return style_code(self.perception.levels(images))  # (B, 2 * sum of D_l)
        return self.perception.encode(images)  # (B,D)

    def encode(self, images: Tensor) -> Tensor:
        return self.perception.encode(images)  # (B,D)

    def diagnose(self, images: Tensor) -> str:
        return same_for_all(self.stylise(images, images), images)


def perception_of(
    name: str, backbone: Backbone, data: DataSpec[ImageField]
) -> AutoencoderPerception | ClassifierPerception | VggPerception:
    """The encoder of that name. Raises NotApplicable where there are no maps, labels or weights for it."""
    if name == "vgg16":
        return VggPerception(data)
    return AutoencoderPerception(backbone, data) if name == "autoencoder" else ClassifierPerception(backbone, data)


def uses(config: Config) -> tuple[Information, ...]:
    return ("labels",) if config.perception == "classifier" else ()


def applies(data: DataSpec[ImageField], config: Config) -> str:
    return too_small_for_vgg(data) if config.perception == "vgg16" else ""


def files(config: Config) -> list[Path]:
    """The weights of VGG-16, if that is the encoder; where they are missing, building says where to put them."""
    return [vgg_file()] if config.perception == "vgg16" and vgg_file().is_file() else []


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="style-transfer",
        kind="model",
        build=StyleTransfer,
        config=Config,
        source="arXiv:1703.06868",
        uses=uses,
        applies=applies,
        files=files,
        recipe={"batch_size": 32, "learning_rate": 1e-3, "weight_decay": 0.0, "schedule": "constant"},
    )
