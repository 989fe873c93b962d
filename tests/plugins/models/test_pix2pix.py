"""Pix2pix: its two losses by hand, its limits, and that it beats copying on a toy translation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from toy_domains import bars, paired_outlines, toy_spec

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.data.images import to_float
from harness.errors import NotApplicable
from harness.records import Budget, TrainConfig
from harness.trainer import train, trained_weights
from harness_plugins.backbones import convnet, mlp
from harness_plugins.models.pix2pix import Config, Pix2Pix, harness_method


def pix2pix(seed: int = 0, **config) -> Pix2Pix:
    torch.manual_seed(seed)
    return Pix2Pix(convnet.build(toy_spec(), convnet.Config(width=8)), toy_spec(), Config(**config))


def toy_batch(n: int = 8) -> Batch:
    images, outlines = bars(n)
    return Batch(inputs=to_float(images), paired=to_float(outlines))


def test_its_losses_are_those_of_the_paper() -> None:
    method, batch = pix2pix(l1_weight=50.0, gan_weight=2.0, dropout=0.0).train(), toy_batch()
    losses = dict(method.turns(batch))
    images, outlines = batch.inputs, batch.paired
    translated = method.generator(outlines)
    real, fake = method.discriminator(outlines, images), method.discriminator(outlines, translated)
    told_apart = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
    told_apart = told_apart + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    torch.testing.assert_close(losses["discriminator"], told_apart / 2)
    l1 = ((2 * translated - 1) - (2 * images - 1)).abs().mean()
    fooled = F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))
    torch.testing.assert_close(losses["generator"], 2.0 * fooled + 50.0 * l1)


def test_the_discriminator_s_turn_leaves_the_generator_alone() -> None:
    method = pix2pix()
    turns = method.turns(toy_batch())
    name, loss = next(turns)
    assert name == "discriminator"
    loss.backward()
    assert all(weight.grad is None for weight in method.generator.parameters())
    assert all(weight.grad is not None for weight in method.backbone.parameters())


def test_the_discriminator_sees_the_paired() -> None:
    method, batch = pix2pix().eval(), toy_batch()
    right = method.discriminator(batch.paired, batch.inputs)
    wrong = method.discriminator(batch.paired.roll(1, 0), batch.inputs)
    assert right.shape == (8, 1, 2, 2)
    assert not torch.allclose(right, wrong)


def test_without_the_gan_it_is_a_regression_with_no_discriminator() -> None:
    method, batch = pix2pix(gan_weight=0.0, dropout=0.0), toy_batch()
    assert not hasattr(method, "backbone")
    ((name, loss),) = method.turns(batch)
    assert name == "generator"
    torch.testing.assert_close(loss, 200 * F.l1_loss(method.generator(batch.paired), batch.inputs))
    assert method.eval().encode(batch.inputs).shape == (8, 64)
    same_size = pix2pix(gan_weight=0.0, skips=False)
    assert trained_weights(same_size) == trained_weights(method)


def test_it_beats_copying_after_some_steps() -> None:
    method = pix2pix(dropout=0.0)
    budget, recipe = Budget(amount=60, unit="steps"), {**harness_method().recipe, "batch_size": 32}
    rows, config = paired_outlines(512), TrainConfig(**recipe)
    train(method, rows, toy_spec(), config, budget, seed=0, precision="fp32", progress=lambda *_: None)
    images, outlines = (to_float(part) for part in bars(128, seed=7))
    method.eval()
    with torch.no_grad():
        translated = method.translate(outlines)
        assert F.mse_loss(translated, images) < 0.25 * F.mse_loss(outlines, images)
        assert method.diagnose(images) == ""


def test_a_constant_generator_is_told() -> None:
    method = pix2pix().eval()
    torch.nn.init.zeros_(method.generator.head.weight)
    assert "collapsed translator" in method.diagnose(toy_batch().inputs)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"l1_weight": 0.0, "gan_weight": 0.0}, "nor both 0"),
        ({"l1_weight": -1.0}, "not be negative"),
        ({"dropout": 1.0}, "probability"),
        ({"width": 0}, "at least 1"),
    ],
)
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**params)


def test_without_pairs_or_maps_it_does_not_apply() -> None:
    alone = DataSpec(inputs=ImageField(channels=1, size=8))
    with pytest.raises(NotApplicable, match="paired image of each image"):
        Pix2Pix(convnet.build(alone, convnet.Config()), alone, Config())
    with pytest.raises(NotApplicable, match="convolutional backbone"):
        Pix2Pix(mlp.build(toy_spec(), mlp.Config()), toy_spec(), Config())
