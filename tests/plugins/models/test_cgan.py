"""The conditional GAN: genuine is a real image with its own label only; samples show what is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.errors import NotApplicable
from harness.nn.adversarial import matching_aware_loss, non_saturating, real_gradient_penalty
from harness.optimisation import Optimisation
from harness.records import TrainConfig
from harness_plugins.backbones import convnet
from harness_plugins.models.cgan import RECIPE, ConditionalGAN, Config

SIDES = DataSpec(inputs=ImageField(channels=1, size=8, mean=(0.5,), std=(0.5,)), classes=("left", "right"))
SMALL = Config(width=8, hidden=16, noise_dim=6, embedding_dim=4)


def small(data: DataSpec[ImageField] = SIDES) -> ConditionalGAN:
    torch.manual_seed(0)
    return ConditionalGAN(convnet.build(data, convnet.Config(width=8)), data, SMALL).train()


def sides(n: int = 32) -> Batch:
    """White is the left half of class 0, the right half of class 1."""
    labels = torch.arange(n) % 2
    inputs = torch.zeros(n, 1, 8, 8)
    inputs[labels == 0, :, :, :4] = 1
    inputs[labels == 1, :, :, 4:] = 1
    return Batch(inputs=inputs, labels=labels)


def judged_alone(
    method: ConditionalGAN, images: torch.Tensor, labels: torch.Tensor, asked: torch.Tensor
) -> torch.Tensor:
    """What is said of images that are of `labels`: of each for what is asked, and of the variety of its class."""
    discriminator = method.discriminator
    features = discriminator.features(images)
    agreement = (discriminator.project(discriminator.condition(asked)) * features).sum(1)
    spread = torch.stack([(features[labels == label].var(0, unbiased=False) + 1e-4).sqrt() for label in labels])
    return discriminator.logit(features).squeeze(1) + agreement + discriminator.batch_term.logit(spread).squeeze(1)


def test_without_variety_each_image_is_judged_alone() -> None:
    torch.manual_seed(0)
    config = replace(SMALL, variety=False)
    method = ConditionalGAN(convnet.build(SIDES, convnet.Config(width=8)), SIDES, config).train()
    batch = sides()
    assert batch.labels is not None
    together = method.discriminator(batch.inputs, batch.labels)
    torch.testing.assert_close(method.discriminator(batch.inputs[:1], batch.labels[:1]), together[:1])
    with_variety = small().discriminator
    first = with_variety(batch.inputs[:1], batch.labels[:1])
    brighter = torch.cat([batch.inputs[:1], batch.inputs[:1] / 2])
    assert not torch.allclose(with_variety(brighter, batch.labels[:1].repeat(2))[:1], first)


def test_the_turns_are_the_matching_aware_game() -> None:
    method, batch = small(), sides()
    batch = replace(batch, inputs=batch.inputs * torch.rand(32, 1, 1, 1))
    assert batch.labels is not None
    torch.manual_seed(1)
    (first, judged), (second, played) = method.turns(batch)
    torch.manual_seed(1)
    fakes = method.generator(torch.randn(32, 6), batch.labels)
    others = batch.labels.roll(int(torch.randint(1, 32, ())))
    (right, fake) = (judged_alone(method, images, batch.labels, batch.labels) for images in (batch.inputs, fakes))
    wrong = judged_alone(method, batch.inputs, batch.labels, others)
    assert (first, second) == ("discriminator", "generator")
    images = batch.inputs.clone().requires_grad_()
    penalty = real_gradient_penalty(method.discriminator(images, batch.labels), images)
    game = matching_aware_loss(right, fake, wrong, (others != batch.labels).float(), 0.9)
    assert penalty > 0
    torch.testing.assert_close(judged, game + SMALL.penalty / 2 * penalty)
    torch.testing.assert_close(played, non_saturating(fake))


def test_samples_and_logits_follow_the_label() -> None:
    """On two classes that a child tells apart; before training both sides are alike."""
    method = small()
    optimisation = Optimisation(method, TrainConfig(**RECIPE), "fp32")
    for _ in range(150):
        optimisation.step(sides())
    method.eval()
    batch = sides(64)
    assert batch.labels is not None
    with torch.no_grad():
        images = method.sample_as(batch.labels, torch.Generator().manual_seed(0))
        right = method.discriminator(batch.inputs, batch.labels)
        wrong = method.discriminator(batch.inputs, 1 - batch.labels)
    shown = (images[..., 4:].mean((1, 2, 3)) > images[..., :4].mean((1, 2, 3))).long()
    assert float((shown == batch.labels).float().mean()) > 0.95
    assert float((right > wrong).float().mean()) > 0.95


def test_a_sample_is_the_candidate_that_the_discriminator_finds_the_most_genuine() -> None:
    method = small().eval()
    labels = torch.tensor([0, 1, 1])
    with torch.no_grad():
        sampled = method.sample_as(labels, torch.Generator().manual_seed(0))
        noise = torch.randn(len(labels) * 4, 6, generator=torch.Generator().manual_seed(0))
        for label, candidates, chosen in zip(labels, noise.split(4), sampled, strict=True):
            drawn = method.averaged.network(candidates, label.repeat(4))
            features = method.discriminator.features(drawn)
            logits = method.discriminator.logit(features).squeeze(1)
            logits += features @ method.discriminator.project(method.discriminator.condition(label[None]))[0]
            assert len(logits.unique()) == 4
            torch.testing.assert_close(chosen, drawn[logits.argmax()])


def test_one_candidate_is_what_the_generator_draws() -> None:
    torch.manual_seed(0)
    config = replace(SMALL, candidates=1)
    method = ConditionalGAN(convnet.build(SIDES, convnet.Config(width=8)), SIDES, config).eval()
    labels = torch.tensor([0, 1])
    with torch.no_grad():
        sampled = method.sample_as(labels, torch.Generator().manual_seed(0))
        drawn = method.averaged.network(torch.randn(2, 6, generator=torch.Generator().manual_seed(0)), labels)
    torch.testing.assert_close(sampled, drawn)


def test_the_representation_takes_no_notice_of_labels() -> None:
    method = small().eval()
    assert method.condition == "labels"
    with torch.no_grad():
        torch.testing.assert_close(method.encode(sides().inputs), method.backbone(sides().inputs))


def test_a_source_without_labels_is_refused() -> None:
    with pytest.raises(NotApplicable, match="no labels"):
        small(DataSpec(inputs=ImageField(channels=1, size=8)))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"embedding_dim": 0}, "at least 1"),
        ({"real_label": 1.2}, "real_label"),
        ({"average": -0.1}, "decay"),
        ({"candidates": 0}, "at least 1"),
    ],
)
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**params)
