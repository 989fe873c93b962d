"""SwAV: its loss by loops, codes across processes, prototypes that rest at first, and how collapse is seen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from two_processes import assert_two_processes_agree_with_one

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.nn.sinkhorn import sinkhorn
from harness.optimisation import Optimisation
from harness.records import TrainConfig
from harness_plugins.backbones import convnet
from harness_plugins.pretext.swav import Config, Swav, swapped

SPEC = DataSpec(inputs=ImageField(channels=1, size=12))


def built(**config: float) -> Swav:
    torch.manual_seed(0)
    return Swav(convnet.build(SPEC, convnet.Config()), SPEC, Config(**config))  # type: ignore[arg-type]


def half_a_batch(one: Tensor, other: Tensor) -> Tensor:
    return swapped([sinkhorn(one), sinkhorn(other)], [one, other], 0.1)


def by_loops(codes: list[Tensor], scores: list[Tensor], temperature: float) -> Tensor:
    """Equation 2, image by image, for every view but the one that the code is of."""
    total, count = torch.zeros(()), 0
    for i, code in enumerate(codes):
        for j, score in enumerate(scores):
            for b in range(len(score) if i != j else 0):
                chances = torch.exp(score[b] / temperature) / torch.exp(score[b] / temperature).sum()
                total, count = total - (code[b] * chances.log()).sum(), count + 1
    return total / count


@pytest.mark.parametrize("small", [0, 2])
def test_the_loss_is_equation_2_in_value_and_gradient(small: int) -> None:
    scores = torch.randn(2 + small, 8, 5, generator=torch.Generator().manual_seed(0)).tanh().requires_grad_()
    codes = [sinkhorn(view) for view in scores[:2]]
    found, expected = swapped(codes, list(scores), 0.3), by_loops(codes, list(scores), 0.3)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(loss, scores)[0] for loss in (found, expected)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-5)


def test_a_sure_and_right_prediction_costs_nothing_and_an_even_one_the_logarithm_of_the_prototypes() -> None:
    codes = torch.eye(4)
    assert swapped([codes, codes], [codes, codes], 0.01).item() == pytest.approx(0, abs=1e-6)
    even = torch.zeros(4, 4)
    assert swapped([codes, codes], [even, even], 0.1).item() == pytest.approx(torch.tensor(4.0).log().item())


def test_two_processes_have_the_gradient_of_one() -> None:
    assert_two_processes_agree_with_one("test_swav:half_a_batch")


def test_prototypes_rest_at_first() -> None:
    method = built(frozen=0.5)
    steps = Optimisation(method, TrainConfig(learning_rate=0.01), "fp32")
    for progress, moves in ((0.0, False), (0.49, False), (0.5, True)):
        before = method.prototypes.directions.detach().clone()
        steps.step(Batch(inputs=torch.rand(16, 1, 12, 12), progress=progress))
        assert torch.equal(method.prototypes.directions, before) is not moves


def test_images_that_share_one_prototype_are_told() -> None:
    method, images = built().eval(), torch.rand(64, 1, 12, 12)
    with torch.no_grad():
        method.projector[-1].weight.zero_()  # type: ignore[union-attr,operator]
        assert method.diagnose(images) == "collapsed: 64 images are nearest to 1 of 128 prototypes"
        method.projector = torch.nn.Sequential()
        method.backbone.forward = lambda inputs: torch.randn(len(inputs), 128)  # type: ignore[assignment]
        assert method.diagnose(images) == ""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"prototypes": 1}, "prototypes"),
        ({"temperature": 0.0}, "temperature"),
        ({"epsilon": -1.0}, "epsilon"),
        ({"frozen": 1.0}, "frozen"),
        ({"small": -1}, "small"),
        ({"small": 4, "small_crop": 0.9}, "small_crop is an area in"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Config(**wrong)  # type: ignore[arg-type]
