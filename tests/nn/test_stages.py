"""Stages of a trunk: which weights they hold, what they give one after the other, what is copied and frozen."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from harness.data.fields import DataSpec, ImageField
from harness.nn.backbone import Backbone
from harness.nn.stages import MOST, Stage, copy_stages, freeze_stages, grouped, in_sequence
from harness_plugins.backbones import convnet, mlp, resnet18, vit

SPEC = DataSpec(inputs=ImageField(channels=3, size=16, mean=(0.2, 0.4, 0.6), std=(0.1, 0.2, 0.3)))
MADE = {
    "convnet": (convnet, {"dropout": 0.2}, 3),
    "mlp": (mlp, {"layers": 2, "norm": "batch"}, 2),
    "resnet18": (resnet18, {}, 5),
    "vit": (vit, {}, 5),
    "vit with a class token": (vit, {"pool": "class", "positions": "learned", "depth": 2}, 3),
}


@pytest.mark.parametrize("name", MADE)
def test_the_stages_one_after_the_other_are_the_trunk_and_hold_each_weight_once(name: str) -> None:
    module, params, count = MADE[name]
    backbone = module.build(SPEC, module.Config(**params)).eval()
    stages = backbone.stages()
    assert len(stages) == count
    held = [sum(stage.holds(weight) for stage in stages) for weight in backbone.trunk.state_dict()]
    assert held == [1] * len(held)
    inputs = backbone.standardise(torch.rand(3, 3, 16, 16))
    with torch.no_grad():
        expected = backbone.trunk(inputs)
        for cut in range(count + 1):  # any cut into two gives the same
            states = backbone.between(0, cut, inputs)
            assert torch.equal(backbone.between(cut, count, states), expected)
    assert expected.shape == (3, backbone.dim)


def test_the_spatial_mean_belongs_to_no_stage() -> None:
    backbone = convnet.build(SPEC, convnet.Config())
    assert [stage.name for stage in backbone.stages()] == ["convolution 1", "convolution 2", "convolution 3"]
    assert not any(stage.holds(str(len(backbone.trunk) - 1)) for stage in backbone.stages())


def test_a_backbone_that_says_nothing_is_one_stage() -> None:
    backbone = Backbone(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), 2, DataSpec(inputs=SPEC.inputs), any_size=False)
    (stage,) = backbone.stages()
    assert stage.holds("1.weight")
    inputs = torch.rand(3, 1, 2, 2)
    assert torch.equal(backbone.between(0, 1, inputs), backbone.trunk(inputs))
    assert backbone.is_chain


def test_more_stages_than_eight_are_joined_and_give_the_same() -> None:
    trunk = nn.Sequential(*(nn.Linear(3, 3) for _ in range(12)))
    stages = in_sequence(range(1, 13), "layer")
    backbone = Backbone(trunk, 3, SPEC, any_size=True, stages=stages)
    assert len(backbone.stages()) == MOST
    assert backbone.stages()[0].name == "layer 1"
    assert backbone.stages()[-1].name == "layer 12"
    inputs = torch.rand(2, 3)
    assert torch.equal(backbone.between(0, MOST, inputs), trunk(inputs))
    unsaid = grouped([Stage(name, (name,)) for name in "abcdef"], 3)
    assert [stage.apply for stage in unsaid] == [None] * 3
    assert [len(stage.parts) for stage in unsaid] == [1, 3, 2]


def test_names_that_begin_alike_are_told_apart() -> None:
    stage = Stage("one", ("blocks.1", "norm"))
    assert stage.holds("blocks.1")
    assert stage.holds("blocks.1.weight")
    assert not stage.holds("blocks.10.weight")
    assert not stage.holds("normal.weight")


def test_copied_are_the_first_stages_alone_with_their_statistics() -> None:
    trained, fresh = (convnet.build(SPEC, convnet.Config()) for _ in range(2))
    trained.train()(torch.rand(8, 3, 16, 16))  # moves BatchNorm's statistics
    before = copy.deepcopy(fresh.trunk.state_dict())
    copy_stages(trained.stages()[:2], trained.trunk, fresh.trunk)
    for name, value in fresh.trunk.state_dict().items():
        copied = any(stage.holds(name) for stage in trained.stages()[:2])
        assert torch.equal(value, (trained.trunk.state_dict() if copied else before)[name]), name
    assert not torch.equal(fresh.trunk[1].running_mean, before["1.running_mean"])


def test_frozen_stages_get_no_gradient_and_stay_in_eval_mode() -> None:
    backbone = convnet.build(SPEC, convnet.Config(dropout=0.5)).train()
    freeze_stages(backbone.stages()[:2], backbone.trunk)
    assert [layer.training for layer in backbone.trunk] == [False] * 8 + [True] * 5
    weights = [weight.requires_grad for weight in backbone.parameters()]
    assert weights == [False] * 8 + [True] * 4
