"""The contract of backbones, check by check.

B examples, C channels, H=W pixels, L tokens, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from harness.contract.examples import EXAMPLES, SmallData
from harness.contract.requirements import TOLERANCE, Absent, require, require_finite, require_same_alone, require_shape
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
        backbone: Any = self.spec.build(self.data.spec, self.config)
        found = type(backbone).__name__
        require(isinstance(backbone, Backbone), f"build gave a {found}, expected a harness.nn Backbone")
        return backbone


def encodes_to_its_dim(case: BackboneCase) -> str:
    backbone = case.build()
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


def gives_tokens_of_the_patches_that_it_is_shown(case: BackboneCase) -> str:
    """Where it sees images as patches: half of them, in another order, are that many tokens, all of them as before."""
    backbone = case.build().eval()
    try:
        side, extra = backbone.patch, backbone.extra_tokens
    except NotApplicable as reason:
        raise Absent("it gives no tokens of patches") from reason
    inputs = case.data.inputs
    count = (-(-inputs.shape[-1] // side)) ** 2
    if case.data.kind == "video":
        count *= -(-inputs.shape[1] // backbone.tube)
    order = torch.arange(count).flip(0).expand(EXAMPLES, -1)  # (B,L)
    with torch.no_grad():
        whole, turned = backbone.tokens(inputs), backbone.tokens(inputs, order)
        half = backbone.tokens(inputs, order[:, : max(1, count // 2)])
    require_shape("tokens()", whole, (EXAMPLES, extra + count, backbone.dim))
    require_shape("tokens() of half of the patches", half, (EXAMPLES, extra + max(1, count // 2), backbone.dim))
    gap = float((turned[:, extra:].flip(1) - whole[:, extra:]).abs().max())
    require(gap < TOLERANCE, f"tokens of patches in another order differ by {gap:.2g}: give each its own position")
    return f"{count} patches of {side} pixels"


def has_stages_of_all_its_weights_in_order(case: BackboneCase) -> str:
    """What copies or freezes the first layers: every weight is in one stage, and no stage needs a later one."""
    backbone = case.build().eval()
    stages = backbone.stages()
    for name in backbone.trunk.state_dict():
        holders = [stage.name for stage in stages if stage.holds(name)]
        require(len(holders) == 1, f"{name} is in {' and in '.join(holders) or 'none'} of its stages, expected one")
    inputs = backbone.standardise(case.data.inputs)
    if backbone.is_chain:
        _runs_stage_by_stage(backbone, inputs)
    else:
        _runs_in_order(backbone, inputs)
    return ", ".join(stage.name for stage in stages)


def _runs_stage_by_stage(backbone: Backbone, inputs: Tensor) -> None:
    stages, states = backbone.stages(), inputs
    for place in range(len(stages)):
        weights = {name: weight for name, weight in backbone.trunk.named_parameters() if weight.requires_grad}
        later = [name for name in weights if not any(stage.holds(name) for stage in stages[: place + 1])]
        states = backbone.between(place, place + 1, states)
        if later and states.requires_grad:
            found = torch.autograd.grad(states.sum(), [weights[name] for name in later], None, True, allow_unused=True)
            used = [name for name, gradient in zip(later, found, strict=True) if gradient is not None]
            require(not used, f"its stage '{stages[place].name}' needs {', '.join(used[:3])} of a later one")
    gap = float((states - backbone.trunk(inputs)).abs().max().detach())
    require(gap < TOLERANCE, f"its stages, one after the other, give what differs by {gap:.2g} from the trunk")


def _runs_in_order(backbone: Backbone, inputs: Tensor) -> None:
    """By when each module with weights of its own is called first."""
    stages, called = backbone.stages(), [0]

    def note(place: int) -> Any:
        return lambda module, args: called.append(place)

    hooks = [
        module.register_forward_pre_hook(note(place))
        for name, module in backbone.trunk.named_modules()
        if list(module.parameters(recurse=False))
        for place, stage in enumerate(stages)
        if stage.holds(name)
    ]
    with torch.no_grad():
        backbone.trunk(inputs)
    for hook in hooks:
        hook.remove()
    back = [stages[now].name for before, now in pairwise(called) if now < before]
    require(not back, f"its stage '{back[0] if back else ''}' is used after a later one")


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
    gives_tokens_of_the_patches_that_it_is_shown,
    has_stages_of_all_its_weights_in_order,
)
