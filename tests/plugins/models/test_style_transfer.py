"""Style transfer: the two stages, the loss by hand, and that a style is taken over."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.data.batches import Batch
from harness.data.columns import InMemory
from harness.data.fields import DataSpec, ImageField
from harness.data.rows import Rows
from harness.errors import NotApplicable
from harness.nn.adain import adain, style_distance
from harness.optimisation import Optimisation
from harness.records import Budget, TrainConfig
from harness.trainer import train
from harness_plugins.backbones import convnet, mlp
from harness_plugins.models.style_transfer import Config, StyleTransfer, harness_method

SPEC = DataSpec(inputs=ImageField(channels=3, size=16, mean=(0.5,) * 3, std=(0.25,) * 3), classes=("a", "b"))


def style_transfer(**config) -> StyleTransfer:
    torch.manual_seed(0)
    return StyleTransfer(convnet.build(SPEC, convnet.Config(width=8)), SPEC, Config(**config))


def tinted(n: int, seed: int = 0) -> torch.Tensor:
    """Noise of 4x4 cells, each image in a colour and a contrast of its own: (n,3,16,16) in [0,1]."""
    generator = torch.Generator().manual_seed(seed)
    cells = torch.rand(n, 1, 4, 4, generator=generator)
    colour, contrast = torch.rand(n, 3, 1, 1, generator=generator), torch.rand(n, 1, 1, 1, generator=generator)
    return torch.nn.functional.interpolate(colour * (1 - contrast * cells), size=(16, 16))


def weights_of(module: torch.nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in module.state_dict().values()]


def moved(before: list[torch.Tensor], module: torch.nn.Module) -> bool:
    return any(not torch.equal(old, new) for old, new in zip(before, module.state_dict().values(), strict=True))


def test_the_encoder_learns_first_and_is_frozen_then() -> None:
    method, batch = style_transfer(pretrain=0.3).train(), Batch(inputs=tinted(8))
    optimisation = Optimisation(method, TrainConfig(), "fp32")
    for progress, learner in ((0.0, "perception"), (0.29, "perception"), (0.3, "decoder"), (0.9, "decoder")):
        before = {name: weights_of(method.get_submodule(name)) for name in ("perception", "decoder")}
        optimisation.step(replace(batch, progress=progress))
        for name, weights in before.items():
            assert moved(weights, method.get_submodule(name)) == (name == learner), f"{name} at {progress}"


def test_the_loss_is_that_of_the_paper() -> None:
    method, batch = style_transfer(content_weight=2.0, style_weight=3.0), Batch(inputs=tinted(8), progress=0.9)
    ((name, loss),) = method.turns(batch)
    assert name == "decoder"
    levels = method.perception.levels
    content, style = levels(batch.inputs), levels(batch.inputs.roll(1, 0))
    wanted = adain(content[-1], style[-1])
    drawn = levels(method.decoder(wanted))
    expected = 2.0 * (drawn[-1] - wanted).square().mean() + 3.0 * style_distance(drawn, style)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


def test_drawings_come_nearer_to_the_style() -> None:
    method = style_transfer()
    split = Rows(inputs=InMemory(tinted(256).mul(255).to(torch.uint8)))
    recipe = {**harness_method().recipe, "batch_size": 32, "learning_rate": 3e-3}
    budget = Budget(amount=160, unit="steps")
    train(method, split, SPEC, TrainConfig(**recipe), budget, seed=0, precision="fp32", progress=lambda *_: None)
    method.eval()
    content, style = tinted(64, seed=1), tinted(64, seed=2)
    with torch.no_grad():
        levels = method.perception.levels
        drawn = style_distance(levels(method.stylise(content, style)), levels(style))
        assert drawn < 0.5 * style_distance(levels(content), levels(style))
        assert method.diagnose(content) == ""
        own = (method.stylise(content, content) - content).square().mean()
        assert own < 0.5 * content.var(0).mean(), "in its own style an image stays much as it is"


def test_labels_are_used_by_the_classifier_alone() -> None:
    spec = harness_method()
    assert spec.uses_with(Config()) == ()
    assert spec.uses_with(Config(perception="classifier")) == ("labels",)
    method = style_transfer(perception="classifier")
    ((name, loss),) = method.turns(Batch(inputs=tinted(8), labels=torch.arange(8) % 2))
    assert name == "perception"
    assert loss.item() == pytest.approx(0.69, abs=0.4)  # near log 2


def test_its_readouts_are_content_and_style() -> None:
    method, images = style_transfer().eval(), tinted(4)
    content, style = (method.read(images, name) for name in method.readouts())
    assert content.shape == (4, 32)
    assert style.shape == (4, 2 * (8 + 16 + 32))
    turned = images.rot90(2, (2, 3))
    assert not torch.equal(style, method.read(turned, method.readouts()[1]))
    torch.testing.assert_close(content, method.backbone(images))


@pytest.mark.parametrize(
    ("params", "message"), [({"pretrain": 1.0}, "above 0 and below 1"), ({"style_weight": -1.0}, "not be negative")]
)
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**params)


def test_where_it_does_not_apply(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(NotApplicable, match="convolutional backbone"):
        StyleTransfer(mlp.build(SPEC, mlp.Config()), SPEC, Config())
    unlabelled = replace(SPEC, classes=())
    with pytest.raises(NotApplicable, match="needs labels"):
        StyleTransfer(convnet.build(SPEC, convnet.Config()), unlabelled, Config(perception="classifier"))
    with pytest.raises(NotApplicable, match="weights"):
        style_transfer(perception="vgg16")
