"""The backbone as it was initialised, never trained: what the architecture alone is worth.

B images, clips or texts, D features. A method is worth its gain over this row: in BiGAN's own log the
untrained encoder has 96.84 % nearest-neighbour accuracy on MNIST, the trained one 97.35 %.
"""

from __future__ import annotations

from torch import Tensor, nn

from harness.plugin import ANY, Backbone, DataSpec, MethodSpec, NoConfig, hookimpl


class RandomInit(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec, config: NoConfig) -> None:
        super().__init__()
        self.backbone = backbone  # (B,...) -> (B,D)

    def encode(self, inputs: Tensor) -> Tensor:
        return self.backbone(inputs)  # (B,D)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="random-init", kind="reference", build=RandomInit, takes=ANY, source="no learning")
