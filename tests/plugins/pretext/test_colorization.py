"""Colourisation: bins, soft targets, rarity and the loss against their formulas, and an encoder that sees no colour."""

from __future__ import annotations

import math

import pytest
import torch

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.errors import NotApplicable
from harness.nn.lab import lab_to_rgb, rgb_to_lab
from harness_plugins.backbones import convnet, mlp
from harness_plugins.pretext.colorization import (
    Colorization,
    Config,
    applies,
    colour_bins,
    lightness,
    rarity,
    smoothing,
    soft_bins,
)

SPEC = DataSpec(inputs=ImageField(channels=3, size=16))


def colorization(**config) -> Colorization:
    torch.manual_seed(0)
    return Colorization(convnet.build(SPEC, convnet.Config()), SPEC, Config(**config))


def batch(n: int = 4) -> Batch:
    return Batch(inputs=torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(0)))


def test_every_colour_of_a_screen_has_its_bin_and_every_bin_a_colour() -> None:
    bins = colour_bins(10)
    assert bins.shape == (261, 2)
    assert torch.equal(bins, (bins / 10).round() * 10)
    images = torch.rand(1, 3, 100, 1000, generator=torch.Generator().manual_seed(0)).round(decimals=2)
    colours = rgb_to_lab(images)[0, 1:].flatten(1).T  # (n,2)
    away = (colours[:, None] - bins).abs().amax(2).amin(1)  # to the nearest bin
    assert away.max() < 5.5  # half a step, and what lies between the shades that were tried
    assert [0.0, 0.0] in bins.tolist()
    assert len(colour_bins(20)) < 100


def test_soft_targets_are_a_gaussian_over_the_nearest_bins() -> None:
    bins = colour_bins(10)
    colours = torch.tensor([[0.0, 0.0], [13.0, -21.0], [79.0, 70.0], [30.0, 5.0]])
    chosen, shares = soft_bins(colours, bins, 5, 5.0)
    for colour, row, share in zip(colours.tolist(), chosen, shares, strict=True):
        distances = sorted((math.dist(colour, each), each) for each in bins.tolist())[:5]
        found = sorted((math.dist(colour, each), each) for each in bins[row].tolist())
        assert [round(d, 3) for d, _ in found] == [round(d, 3) for d, _ in distances]
        lent = [math.exp(-(math.dist(colour, each) ** 2) / 50) for each in bins[row].tolist()]
        torch.testing.assert_close(share, torch.tensor(lent) / sum(lent))
        assert math.dist(colour, bins[row[0]].tolist()) == distances[0][0]


def test_rare_colours_weigh_more_and_all_weigh_one_on_average() -> None:
    frequency = torch.tensor([0.7, 0.2, 0.1, 0.0])
    weight = rarity(frequency, 0.5)
    plain = [1 / (0.5 * p + 0.5 / 4) for p in frequency.tolist()]
    norm = sum(p * w for p, w in zip(frequency.tolist(), plain, strict=True))
    torch.testing.assert_close(weight, torch.tensor(plain) / norm)
    assert (frequency * weight).sum() == pytest.approx(1)
    torch.testing.assert_close(rarity(frequency, 1.0), torch.ones(4))  # the limit: all alike


def test_smoothing_lends_to_near_colours() -> None:
    bins = colour_bins(10)
    spread = smoothing(bins, 5.0)
    torch.testing.assert_close(spread.sum(1), torch.ones(len(bins)))
    grey, near, far = (bins.tolist().index(each) for each in ([0.0, 0.0], [10.0, 0.0], [40.0, 0.0]))
    assert spread[grey, near] / spread[grey, grey] == pytest.approx(math.exp(-100 / 50), rel=1e-4)
    assert spread[grey, far] < 1e-10


def test_the_loss_and_its_gradient_are_those_of_equation_2() -> None:
    """Place by place and bin by bin, with the frequencies of this batch, which is the first."""
    method, shown = colorization(), batch(2)
    loss = method.loss(shown)
    lab = rgb_to_lab(shown.inputs)
    bins, side = method.bins, 16 // method.positions
    logits = method.head(method.backbone.maps((lab[:, :1] / 100).expand(-1, 3, -1, -1)))  # (B,Q,h,w)
    places = [(b, y, x) for b in range(2) for y in range(method.positions) for x in range(method.positions)]
    colours = [lab[b, 1:, y * side + side // 2, x * side + side // 2] for b, y, x in places]
    distances = [(bins - colour).norm(dim=1) for colour in colours]
    truth = [int(distance.argmin()) for distance in distances]
    p = torch.stack([torch.tensor(float(truth.count(q)) / len(truth)) for q in range(len(bins))])
    gaussian = torch.exp(-(torch.cdist(bins, bins) ** 2) / 50)
    p = p @ (gaussian / gaussian.sum(1, keepdim=True))
    weight = 1 / (0.5 * p + 0.5 / len(bins))
    weight = weight / (p * weight).sum()
    expected = torch.zeros(())
    for (b, y, x), distance, right in zip(places, distances, truth, strict=True):
        z = torch.zeros(len(bins))
        near = distance.argsort()[:5]
        z[near] = torch.exp(-(distance[near] ** 2) / 50)
        z = z / z.sum()
        expected = expected - weight[right] * (z * logits[b, :, y, x].log_softmax(0)).sum() / len(places)
    torch.testing.assert_close(loss, expected, atol=1e-4, rtol=1e-4)
    weights = list(method.parameters())
    for one, other in zip(torch.autograd.grad(loss, weights), torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_frequencies_are_those_of_the_batches_so_far() -> None:
    method = colorization()
    for colour, times in ((3, 1), (7, 3)):
        for _ in range(times):
            method.count(torch.tensor([colour, colour, 0, 0]))
    expected = torch.zeros(261)
    expected[[0, 3, 7]] = torch.tensor([0.5, 0.125, 0.375])
    torch.testing.assert_close(method.frequency, expected)
    before = method.frequency.clone()
    method.eval().loss(batch())
    assert torch.equal(method.frequency, before)  # only training counts


def test_the_encoder_sees_no_colour() -> None:
    """Two images of the same lightness have the same features, and what the trunk gets is a grey image."""
    method = colorization().eval()
    lab = torch.cat([torch.full((3, 1, 16, 16), 60.0) + 5 * torch.randn(3, 1, 16, 16), torch.zeros(3, 2, 16, 16)], 1)
    grey, reddish = lab_to_rgb(lab), lab_to_rgb(lab + torch.tensor([0.0, 12.0, 5.0]).view(1, 3, 1, 1))
    assert not torch.allclose(grey, reddish, atol=0.02)
    torch.testing.assert_close(method.encode(grey), method.encode(reddish), atol=1e-3, rtol=1e-3)
    seen = lightness(lab)
    assert seen.shape == (3, 3, 16, 16)
    assert torch.equal(seen[:, 0], seen[:, 2])
    assert 0.3 < seen.min() < seen.max() < 0.9


def test_colours_are_a_second_readout() -> None:
    method, images = colorization().eval(), batch().inputs
    assert method.readouts() == ("lightness", "colours")
    assert torch.equal(method.read(images, "lightness"), method.encode(images))
    assert torch.equal(method.read(images, "colours"), method.backbone(images))


def test_questions_are_answered_at_the_true_frequencies() -> None:
    """A head that knows nothing answers with the commonest colour, though it was weighed least in training."""
    method = colorization()
    grey, red = method.bins.tolist().index([0.0, 0.0]), method.bins.tolist().index([50.0, 40.0])
    for _ in range(3):
        method.count(torch.tensor([grey] * 9 + [red]))
    with torch.no_grad():
        for weight in method.head[-1].parameters():
            weight.zero_()
    logits, truth = method.eval().solve(batch(3))
    assert logits.shape == (3 * 4 * 4, 261)
    assert truth.shape == (48,)
    assert (logits.argmax(1) == grey).all()


def test_grey_images_are_a_reason_to_skip() -> None:
    spec = DataSpec(inputs=ImageField(channels=1, size=16))
    assert applies(spec, Config()) == "it needs colours: these images are grey"
    with pytest.raises(NotApplicable, match="it needs colours: these images are grey"):
        Colorization(convnet.build(spec, convnet.Config()), spec, Config())
    assert applies(SPEC, Config()) == ""


def test_a_backbone_without_maps_is_a_reason_to_skip() -> None:
    with pytest.raises(NotApplicable, match="needs feature maps"):
        Colorization(mlp.build(SPEC, mlp.Config()), SPEC, Config())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"step": 1.0}, r"step must be in \[5,50\]"),
        ({"nearest": 0}, r"nearest must be in \[1,9\]"),
        ({"deviation": 0.0}, "deviation positive"),
        ({"uniform": 0.0}, "weigh infinitely much"),
        ({"hidden": 0}, "hidden must be at least 1"),
    ],
)
def test_settings_out_of_range(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**wrong)
