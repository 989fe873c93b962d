"""SimCLR: equation 1 by loops on its own embeddings, its limit, and what it cannot answer."""

from __future__ import annotations

from math import exp, log

import pytest
import torch

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness_plugins.backbones import convnet
from harness_plugins.pretext.simclr import Config, SimClr

SPEC = DataSpec(inputs=ImageField(channels=1, size=8))


def method(**config: float) -> SimClr:
    torch.manual_seed(0)
    return SimClr(convnet.build(SPEC, convnet.Config()), SPEC, Config(**config))


def test_the_loss_is_equation_1_of_the_embeddings() -> None:
    simclr, images = method(temperature=0.3), torch.rand(6, 1, 8, 8)
    torch.manual_seed(1)
    loss = simclr.loss(Batch(inputs=images)).item()
    torch.manual_seed(1)
    views = torch.cat(simclr.embeddings(images)).detach()
    terms = []
    for i in range(12):
        j = (i + 6) % 12
        cosines = [torch.cosine_similarity(views[i], views[k], dim=0).item() for k in range(12)]
        terms.append(-log(exp(cosines[j] / 0.3) / sum(exp(cosines[k] / 0.3) for k in range(12) if k != i)))
    assert loss == pytest.approx(sum(terms) / 12, abs=1e-5)


def test_images_that_hold_no_answer_cost_the_logarithm_of_the_choices() -> None:
    """Every view of a constant image without jitter is the same: no better than 1 in 2B - 1."""
    simclr = method(jitter=0.0)
    batch = Batch(inputs=torch.full((16, 1, 8, 8), 0.4))
    assert simclr.loss(batch).item() == pytest.approx(log(31), abs=1e-3)
    logits, answers = simclr.eval().solve(batch)
    assert (logits.argmax(1) == answers).float().mean().item() == pytest.approx(1 / 16)


def test_an_image_is_its_own_other_view_where_views_do_not_differ() -> None:
    simclr = method().eval()
    simclr.view = lambda images: images
    logits, answers = simclr.solve(Batch(inputs=torch.rand(16, 1, 8, 8)))
    assert torch.equal(logits.argmax(1), answers)
    assert answers.tolist() == list(range(16))


def test_more_layers_and_another_width_are_built() -> None:
    one, _ = method(layers=3, hidden=20, projection=7).embeddings(torch.rand(4, 1, 8, 8))
    assert one.shape == (4, 7)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"layers": 0}, "hidden, projection and layers must be at least 1"),
        ({"crop": 1.5}, "crop is 1.5, expected a fraction"),
    ],
)
def test_impossible_configs_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**wrong)
