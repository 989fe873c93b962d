"""What a step costs: inputs encoded per example, FLOPs by the formula, budgets in FLOPs; counting is listening."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.building import assembled
from harness.costs import StepCosts, costs_of, encodings
from harness.data.batches import Batch
from harness.data.columns import InMemory
from harness.data.fields import DataSpec, ImageField
from harness.data.rows import Rows
from harness.errors import TrainingFailed
from harness.metrics import measure
from harness.nn.backbone import Backbone
from harness.nn.moving_average import ExponentialMovingAverage
from harness.optimisation import Optimisation
from harness.records import Budget, TrainConfig
from harness.registry import METHOD_KINDS, Registry
from harness.seeding import seed_everything
from harness.store import dump_training, load_training
from harness.trainer import train

SPEC = DataSpec(inputs=ImageField(channels=1, size=8))
BATCH = 16


def batch() -> Batch:
    return Batch(inputs=torch.rand(BATCH, 1, 8, 8, generator=torch.Generator().manual_seed(0)))


def backbone(dim: int = 5) -> Backbone:
    trunk = nn.Sequential(nn.Flatten(), nn.Linear(64, dim), nn.BatchNorm1d(dim))
    return Backbone(trunk, dim, SPEC, any_size=False, maps=lambda trunk, images: trunk[1](images.flatten(1)))


class Method(nn.Module):
    """A backbone, a slow copy of it within a larger network, and whatever loss is asked for."""

    def __init__(self, loss: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = backbone()
        self.target = ExponentialMovingAverage(nn.Sequential(self.backbone, nn.Linear(5, 3)), 0.9, statistics="batch")
        self.frozen = copy.deepcopy(self.backbone).requires_grad_(False)
        self.asked = loss

    def loss(self, batch: Batch) -> Tensor:
        return self.asked(self, batch.inputs)


def supervised(method: Any, images: Tensor) -> Tensor:
    return method.backbone(images).square().mean()


def siamese(method: Any, images: Tensor) -> Tensor:
    return (method.backbone(images) - method.backbone(images.flip(3))).square().mean()


def with_slow_targets(method: Any, images: Tensor) -> Tensor:
    with torch.no_grad():
        expected = [method.target.network(view) for view in (images, images.flip(3))]
    return siamese(method, images) + sum(target.mean() for target in expected)


def with_a_frozen_teacher(method: Any, images: Tensor) -> Tensor:
    return (method.backbone(images) - method.frozen(images)).square().mean()


def one_view_without_gradient(method: Any, images: Tensor) -> Tensor:
    with torch.no_grad():
        other = method.backbone(images)
    return (method.backbone(images) - other.flip(0)).square().mean()


def by_maps(method: Any, images: Tensor) -> Tensor:
    return method.backbone.maps(images).square().mean()


def tiles(method: Any, images: Tensor) -> Tensor:
    return method.backbone.trunk(input=images.repeat(6, 1, 1, 1)).square().mean()


@pytest.mark.parametrize(
    ("loss", "views", "passes"),
    [
        (supervised, 1, 1),
        (siamese, 2, 2),
        (with_slow_targets, 2, 4),
        (with_a_frozen_teacher, 1, 2),
        (one_view_without_gradient, 1, 2),
        (by_maps, 1, 1),
        (tiles, 6, 6),
    ],
)
def test_inputs_are_counted_by_who_encodes_them(loss: Callable[[Any, Tensor], Tensor], views: int, passes: int) -> None:
    method = Method(loss)
    _, costs = costs_of(lambda: method.loss(batch()), method, BATCH)
    assert (costs.views, costs.passes) == (views, passes)
    with encodings(method) as seen:
        method.loss(batch())
    assert seen is not None
    assert (seen.learning, seen.all) == (BATCH * views, BATCH * passes)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in method.modules())


def test_a_method_without_a_backbone_has_flops_alone() -> None:
    method = nn.Linear(3, 4)
    loss, costs = costs_of(lambda: method(torch.ones(2, 3)).sum(), method, 2)
    assert costs == StepCosts(views=None, passes=None, flops=2 * 2 * 3 * 4)
    assert loss.shape == ()


@pytest.mark.parametrize(("name", "views", "passes"), [("rotation", 4, 4), ("jigsaw", 16, 16), ("vae", 1, 1)])
def test_built_in_methods(name: str, views: int, passes: int) -> None:
    """And that the weights after a counted step are, to the last bit, those after one that is not."""
    registry, spec = Registry(), DataSpec(inputs=ImageField(channels=1, size=12))
    chosen, encoder = registry.load(name, METHOD_KINDS).spec, registry.load("convnet", ("backbone",)).spec
    images = torch.rand(BATCH, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    after = []
    for counted in (False, True):
        method = assembled((chosen, chosen.config()), spec, (encoder, encoder.config()), seed=0, name=name).train()
        optimisation = Optimisation(method, TrainConfig(), "bf16")
        seed_everything(0, "augmentation")
        step = lambda one=optimisation: one.step(Batch(inputs=images))  # noqa: E731
        loss, costs = costs_of(step, method, BATCH) if counted else (step(), None)
        after.append([loss, torch.get_rng_state(), *method.state_dict().values()])
    assert costs is not None
    assert (costs.views, costs.passes) == (views, passes)
    assert costs.flops
    assert all(torch.equal(one, other) for one, other in zip(*after, strict=True))


def test_byol_encodes_two_views_twice() -> None:
    """By its own network and by the slow copy of it, whose weights are buffers."""
    registry, spec = Registry(), DataSpec(inputs=ImageField(channels=1, size=12))
    (byol,) = registry.load_file(Path(__file__).parents[1] / "examples" / "byol.py")
    encoder = registry.load("convnet", ("backbone",)).spec
    parts = (byol.spec, byol.spec.config()), spec, (encoder, encoder.config())
    method = assembled(*parts, seed=0, name="byol").train()
    _, costs = costs_of(lambda: method.loss(Batch(inputs=torch.rand(BATCH, 1, 12, 12))), method, BATCH)
    assert (costs.views, costs.passes) == (2, 4)


class Penalised(Method):
    """A penalty on the gradient: torch's own tracker of modules fails on its double backward."""

    def loss(self, batch: Batch) -> Tensor:
        images = batch.inputs.requires_grad_()
        (gradient,) = torch.autograd.grad(self.backbone(images).sum(), images, create_graph=True)
        return gradient.square().mean() + self.backbone(images).square().mean()


def test_the_gradient_of_a_gradient_is_counted() -> None:
    method = Penalised(supervised)
    _, costs = costs_of(lambda: Optimisation(method, TrainConfig(), "fp32").step(batch()), method, BATCH)
    assert costs.views == 2
    assert costs.flops
    assert costs.flops > 4 * 2 * BATCH * 64 * 5


def test_an_operation_whose_formula_fails_is_done_and_the_step_is_uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> int:
        raise AssertionError("a shape that nobody thought of")

    from torch.utils.flop_counter import flop_registry

    monkeypatch.setitem(flop_registry, torch.ops.aten.mm, broken)
    one = torch.ones(2, 3)
    result, flops = measure.counted_flops(lambda: one @ one.T)
    assert result.equal(torch.full((2, 2), 3.0))
    assert flops is None
    with pytest.raises(ValueError, match="no formula"):
        measure.flops(lambda: one @ one.T)


# Whole trainings. -----------------------------------------------------------------------------------------------------


class Linear(nn.Module):
    """Forward 2 B 64, backward for the weights alone 2 B 64."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(64, 1)
        self.progress: list[float] = []

    def loss(self, batch: Batch) -> Tensor:
        self.progress.append(batch.progress)
        return self.layer(batch.inputs.flatten(1)).square().mean()


STEP = 2 * 2 * BATCH * 64  # FLOPs of one step


def trained(method: nn.Module, budget: str) -> Any:
    images = torch.randint(0, 256, (100, 1, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return train(
        method,
        Rows(inputs=InMemory(images)),
        SPEC,
        TrainConfig(batch_size=BATCH),
        Budget.parse(budget),
        seed=0,
        precision="fp32",
        progress=lambda done, scalars: None,
    )


@pytest.mark.parametrize(
    ("flops", "steps"), [(10 * STEP, 10), (9.5 * STEP, 10), (9 * STEP + 1, 10), (1, 1), (1.5 * STEP, 2)]
)
def test_a_budget_in_flops_is_steps_that_it_pays_for(flops: float, steps: int) -> None:
    method = Linear()
    result = trained(method, f"{flops} flops")
    assert (result.steps, result.flops, result.views) == (steps, steps * STEP, None)
    assert method.progress == pytest.approx([step / steps for step in range(steps)])


def test_a_budget_in_flops_gives_the_numbers_of_as_many_steps() -> None:
    curves = [trained(Linear(), text).curve for text in (f"{7 * STEP} flops", "7 steps")]
    assert [point.scalars for point in curves[0]] == [point.scalars for point in curves[1]]


def test_equal_flops_are_fewer_steps_of_what_costs_more() -> None:
    results = [trained(Method(loss), f"{20 * STEP} flops") for loss in (supervised, siamese)]
    assert results[0].steps == math.ceil(20 * STEP / (results[0].flops / results[0].steps))
    assert results[1].steps < results[0].steps
    assert (results[1].views, results[1].passes) == (2, 2)


def test_a_budget_in_flops_of_what_has_none_is_one_line() -> None:
    class Additive(Linear):
        def loss(self, batch: Batch) -> Tensor:
            return self.layer.weight.sum()

    assert trained(Additive(), "3 steps").flops == 0
    with pytest.raises(
        TrainingFailed, match="its FLOPs cannot be counted: give the budget in images, steps or seconds"
    ):
        trained(Additive(), "3 flops")


def test_what_is_not_trained_by_gradients_has_no_costs() -> None:
    class Fitted(nn.Module):
        def fit(self, images: Tensor) -> None:
            return

    for result in (trained(Fitted(), "3 flops"), trained(Linear(), "0 flops")):
        assert (result.status, result.views, result.passes, result.flops) == ("ok", None, None, None)


def test_a_result_from_before_costs_were_counted_is_read() -> None:
    known = trained(Linear(), "2 steps")
    assert load_training(dump_training(known)) == known
    older = json.loads(dump_training(known))
    for name in ("views", "passes", "flops"):
        del older[name]
    assert load_training(json.dumps(older).encode()).flops is None
