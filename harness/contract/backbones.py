"""The contract of backbones, check by check.

B examples, C channels, H=W pixels, L tokens, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from harness.contract.examples import EXAMPLES, SmallData
from harness.contract.requirements import TOLERANCE, require, require_finite, require_same_alone, require_shape
from harness.data.fields import PLURALS
from harness.errors import NotApplicable
from harness.nn.backbone import Backbone
from harness.plugin.specs import BackboneSpec
from harness.seeding import seed_everything

LONGER = 3  # tokens of padding that texts get


@dataclass(frozen=True)
class BackboneCase:
    spec: BackboneSpec
    config: Any
    data: SmallData

    def build(self, seed: int = 0) -> Backbone:
        seed_everything(seed, "initialisation", "backbone")
        return self.spec.build(self.data.spec, self.config)


def encodes_to_its_dim(case: BackboneCase) -> str:
    backbone = case.build()
    require(isinstance(backbone, Backbone), f"build gave a {type(backbone).__name__}, expected a harness.nn Backbone")
    features = backbone(case.data.inputs)
    require_shape("the backbone", features, (EXAMPLES, backbone.dim))
    require_finite("the backbone", features)
    return f"D={backbone.dim}"


def passes_gradients(case: BackboneCase) -> str:
    backbone = case.build().train()
    inputs = case.data.inputs
    if inputs.is_floating_point():  # no gradient reaches tokens
        inputs.requires_grad_()
    backbone(inputs).square().sum().backward()
    without = [name for name, weight in backbone.named_parameters() if weight.requires_grad and weight.grad is None]
    require(not without, f"no gradient reaches {', '.join(without[:3])}")
    reached = inputs.grad is not None or not inputs.is_floating_point()
    require(reached, f"no gradient reaches the {PLURALS[case.data.kind]}")
    return ""


def answers_alike_in_any_batch(case: BackboneCase) -> str:
    backbone = case.build().eval()
    with torch.no_grad():
        require_same_alone("the backbone", backbone, case.data.inputs)
    return ""


def is_fixed_by_the_seed(case: BackboneCase) -> str:
    first, second = case.build().state_dict(), case.build().state_dict()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    require(not different, f"two builds with one seed differ in {', '.join(different[:3])}")
    return ""


def takes_the_sizes_that_it_claims(case: BackboneCase) -> str:
    backbone = case.build().eval()
    if not backbone.any_size:
        raise NotApplicable("it is bound to the size of its source")
    if case.data.kind == "text":
        return _takes_padding(backbone, case.data)
    half = case.data.spec.inputs.size // 2
    with torch.no_grad():
        features = backbone.trunk(case.data.inputs[..., :half, :half])
    require_shape(f"the trunk, for {half}x{half} tiles", features, (EXAMPLES, backbone.dim))
    return ""


def _takes_padding(backbone: Backbone, data: SmallData) -> str:
    """In a longer batch the same texts have more padding, and are the same texts still."""
    with torch.no_grad():
        features, padded = backbone(data.inputs), backbone(data.padded(LONGER))
    require_shape(f"the backbone, for texts of {LONGER} more tokens", padded, (EXAMPLES, backbone.dim))
    gap = float((features - padded).abs().max())
    require(gap < TOLERANCE, f"padding changes a text by {gap:.2g}: leave it out, e.g. with harness.nn.words")
    return f"{LONGER} tokens of padding"


CHECKS = (
    encodes_to_its_dim,
    passes_gradients,
    answers_alike_in_any_batch,
    is_fixed_by_the_seed,
    takes_the_sizes_that_it_claims,
)
