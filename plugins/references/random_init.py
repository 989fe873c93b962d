"""The backbone as it was initialised, never trained: what the architecture alone is worth.

B images, clips or texts, D features. A method is worth its gain over this row: in BiGAN's own log the
untrained encoder has 96.84 % nearest-neighbour accuracy on MNIST, the trained one 97.35 %.
`random-init[standardised=true]` is the row for methods that read each image by its own mean and deviation (jigsaw,
relative-patch): on Fashion-MNIST that alone is worth 1.6 points of nearest neighbours (one seed, test).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from harness.nn.tiles import standardise_tiles
from harness.plugin import ANY, Backbone, DataSpec, MethodSpec, NotApplicable, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    standardised: bool = False  # read each image by its own mean and deviation


class RandomInit(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec, config: Config) -> None:
        super().__init__()
        if config.standardised and data.kind != "image":
            raise NotApplicable("standardised=true is of images")
        self.standardised = config.standardised
        self.backbone = backbone  # (B,...) -> (B,D)

    def encode(self, inputs: Tensor) -> Tensor:
        return self.backbone.trunk(self.trunk_inputs(inputs))  # (B,D)

    def trunk_inputs(self, inputs: Tensor) -> Tensor:
        """Standardised by the source, or each image as one large tile."""
        return standardise_tiles(inputs) if self.standardised else self.backbone.standardise(inputs)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="random-init", kind="reference", build=RandomInit, config=Config, takes=ANY, source="no learning"
    )
