"""Optimisers by name: each against torch or its formula, decay over the budget, and parts with rates of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import cos, pi

import pytest
import torch
from torch import Tensor, nn

from harness.data.batches import Batch
from harness.errors import RequestError, TrainingFailed
from harness.expansion import expand
from harness.lars import LARS
from harness.optimisation import Optimisation
from harness.plugin.capabilities import capabilities_of
from harness.records import TrainConfig
from harness.registry import Registry
from harness.suite import make_request


class Network(nn.Module):
    """A convolution, a normalisation and a predictor: weights of four, two and one dimensions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
        self.predictor = nn.Linear(12, 2)

    def loss(self, batch: Batch) -> Tensor:
        return (self.predictor(self.body(batch.inputs)) - 1).square().mean()


def batch(step: int, progress: float = 0.0) -> Batch:
    generator = torch.Generator().manual_seed(step)
    return Batch(inputs=torch.rand(8, 1, 4, 4, generator=generator), progress=progress)


def config(**changes: object) -> TrainConfig:
    return TrainConfig(**{"clip_norm": 0.0, "weight_decay": 0.1, "learning_rate": 0.05, **changes})  # type: ignore[arg-type]


def stepped(train: TrainConfig, method: nn.Module | None = None, progress: tuple[float, ...] = (0.0,) * 5) -> nn.Module:
    method = method or Network()
    optimisation = Optimisation(method, train, "fp32")
    for step, done in enumerate(progress):
        optimisation.step(batch(step, done))
    return method


def assert_alike(one: nn.Module, other: nn.Module) -> None:
    for (name, weight), theirs in zip(one.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(weight, theirs, msg=name)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_sgd_is_torchs_with_decay_in_the_gradient_of_matrices_alone(momentum: float) -> None:
    theirs = Network()
    weights = list(theirs.parameters())
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": 0.1},
        {"params": [w for w in weights if w.ndim == 1]},
    ]
    reference = torch.optim.SGD(groups, lr=0.05, momentum=momentum, nesterov=False)
    for step in range(5):
        reference.zero_grad()
        theirs.loss(batch(step)).backward()
        reference.step()
    assert_alike(stepped(config(optimiser="sgd", momentum=momentum)), theirs)


def naive_lars(method: Network, steps: int, *, rate: float, momentum: float, decay: float, trust: float) -> None:
    """One weight after the other, as in the loop of the published codes."""
    velocity = {name: torch.zeros_like(weight) for name, weight in method.named_parameters()}
    for step in range(steps):
        method.zero_grad()
        method.loss(batch(step)).backward()
        for name, weight in method.named_parameters():
            assert weight.grad is not None
            gradient = weight.grad.clone()
            if weight.ndim > 1:
                gradient = gradient + decay * weight.detach()
                size, length = weight.detach().norm().item(), gradient.norm().item()
                gradient = gradient * (trust * size / length if size > 0 and length > 0 else 1.0)
            velocity[name] = momentum * velocity[name] + gradient
            weight.data = weight.data - rate * velocity[name]


@pytest.mark.parametrize(("momentum", "decay"), [(0.9, 0.1), (0.0, 0.0)])
def test_lars_is_its_formula(momentum: float, decay: float) -> None:
    theirs = Network()
    naive_lars(theirs, 6, rate=2.0, momentum=momentum, decay=decay, trust=0.001)
    train = config(optimiser="lars", learning_rate=2.0, momentum=momentum, weight_decay=decay)
    ours = stepped(train, progress=(0.0,) * 6)
    assert_alike(ours, theirs)
    assert not torch.equal(ours.predictor.weight, Network().predictor.weight)


def test_a_step_of_lars_is_a_share_of_the_weights_whatever_the_scale_of_the_gradient() -> None:
    lengths = []
    for scale in (1.0, 1e-3):
        weight, bias = nn.Parameter(torch.full((4, 4), 2.0)), nn.Parameter(torch.ones(4))
        weight.grad, bias.grad = scale * torch.eye(4), scale * torch.ones(4)
        LARS([{"params": [weight, bias]}], lr=1.0).step()
        lengths.append((weight.detach() - 2.0).norm().item() / 8.0)
        torch.testing.assert_close(bias.detach(), torch.full((4,), 1 - scale))  # not adapted
    assert lengths == pytest.approx([0.001, 0.001], rel=1e-3)


def test_lars_leaves_alone_what_has_no_gradient_and_steps_from_zero_weights() -> None:
    lazy, zero = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.zeros(2, 2))
    zero.grad = torch.ones(2, 2)
    LARS([{"params": [lazy, zero]}], lr=0.5, weight_decay=1.0).step()
    assert lazy.detach().equal(torch.ones(2, 2))
    assert zero.detach().equal(torch.full((2, 2), -0.5))  # a ratio of 1: else it could never leave zero


@pytest.mark.parametrize("optimiser", ["adamw", "sgd", "lars"])
def test_every_optimiser_trains_and_counts_what_it_moved(optimiser: str) -> None:
    method = Network()
    optimisation = Optimisation(method, config(optimiser=optimiser, momentum=0.0, learning_rate=0.01), "fp32")
    losses = [float(optimisation.step(batch(0))) for _ in range(10)]
    assert losses[-1] < losses[0]
    assert (optimisation.stepped, optimisation.note) == (sum(w.numel() for w in method.parameters()), "")


@pytest.mark.parametrize("optimiser", ["adamw", "sgd", "lars"])
def test_weight_decay_goes_from_its_start_to_its_end_and_spares_biases(optimiser: str) -> None:
    method = Network()
    optimisation = Optimisation(method, config(optimiser=optimiser, final_weight_decay=0.5), "fp32")
    for done in (0.0, 0.25, 1.0):
        optimisation.step(batch(0, done))
        groups = optimisation.optimisers[""].param_groups
        found = {weight.ndim > 1: group["weight_decay"] for group in groups for weight in group["params"]}
        assert found == {True: pytest.approx(0.3 - 0.2 * cos(pi * done)), False: 0.0}


def test_a_weight_decay_without_an_end_is_constant() -> None:
    optimisation = Optimisation(Network(), config(), "fp32")
    optimisation.step(batch(0, 0.7))
    assert optimisation.optimisers[""].param_groups[0]["weight_decay"] == 0.1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.optimiser=adam", "did you mean 'adamw'"),
        ("train.momentum=1", "beta1, beta2 and momentum are decay rates"),
        ("train.final_weight_decay=-1", "weight decays and clip_norm not negative"),
    ],
)
def test_bad_settings_are_one_line(setting: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        expand(make_request({"set": [setting], "seeds": 1}), Registry())


def test_settings_are_read_as_text() -> None:
    request = make_request({"set": ["train.optimiser=lars", "train.final_weight_decay=none|0.4"], "seeds": 1})
    trains = {cell.train for cell in expand(request, Registry())}
    assert {(train.optimiser, train.final_weight_decay) for train in trains} == {("lars", None), ("lars", 0.4)}


# Parts with rates of their own. ---------------------------------------------------------------------------------------


class Rated(Network):
    """Says itself how fast its parts learn."""

    def __init__(self, **said: float) -> None:
        super().__init__()
        self.said = said

    def rates(self, progress: float) -> Mapping[str, float]:
        return self.said


def rates_seen(optimisation: Optimisation) -> dict[str, float]:
    groups = optimisation.optimisers[""].param_groups
    by_weight = {id(weight): group["lr"] for group in groups for weight in group["params"]}
    return {name: by_weight[id(weight)] for name, weight in optimisation.method.named_parameters()}


def test_a_rate_of_a_part_stands_in_the_place_of_the_schedules() -> None:
    method = Rated(predictor=1.0)
    assert "rates" in capabilities_of(method)
    optimisation = Optimisation(method, config(learning_rate=0.2), "fp32")
    optimisation.step(batch(0), rate=0.1)
    for name, rate in rates_seen(optimisation).items():
        assert rate == pytest.approx(0.2 if name.startswith("predictor") else 0.02)
    assert optimisation.stepped == sum(w.numel() for w in method.parameters())


@pytest.mark.parametrize("optimiser", ["adamw", "sgd", "lars"])
def test_steps_with_equal_rates_are_those_of_a_method_that_sets_none(optimiser: str) -> None:
    """Each weight is in one group, with the state that it had."""
    train = config(optimiser=optimiser)
    assert_alike(stepped(train, Rated(predictor=1.0)), stepped(train))


class FrozenAtFirst(Network):
    def rates(self, progress: float) -> Mapping[str, float]:
        return {"predictor": 0.0} if progress < 0.5 else {}


def test_a_part_that_is_named_at_first_follows_the_schedule_later() -> None:
    method = FrozenAtFirst()
    before = method.predictor.weight.detach().clone()
    optimisation = Optimisation(method, config(), "fp32")
    optimisation.step(batch(0, 0.0))
    assert method.predictor.weight.detach().equal(before)
    optimisation.step(batch(1, 0.5), rate=0.3)
    assert not method.predictor.weight.detach().equal(before)
    assert set(rates_seen(optimisation).values()) == {0.3 * 0.05}


class Players(Network):
    """Learns in turns, one of them of a part that contains the named one."""

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        yield "body", self.body(batch.inputs).square().mean()
        yield "predictor", self.predictor(self.body(batch.inputs)).square().mean()

    def rates(self, progress: float) -> Mapping[str, float]:
        return {"body.0": 2.0}


def test_parts_of_turns_have_rates_too() -> None:
    optimisation = Optimisation(Players(), config(), "fp32")
    optimisation.step(batch(0))
    rates = {name: [g["lr"] for g in one.param_groups] for name, one in optimisation.optimisers.items()}
    assert sorted(rates["body"]) == pytest.approx([0.05, 0.1, 0.1])  # the norm, and filters and biases
    assert rates["predictor"] == pytest.approx([0.05, 0.05])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"predictr": 1.0}, r"rates\(\) named 'predictr', but the method has no part of that name"),
        ({"predictor": -1.0}, r"rates\(\) gave -1 for 'predictor', expected a factor of 0 or more"),
        ({"predictor": float("nan")}, r"rates\(\) gave nan for 'predictor'"),
        ({"body": 1.0, "body.0": 1.0}, r"rates\(\) named 'body' and 'body.0', which share weights: name one"),
    ],
)
def test_rates_that_make_no_sense_are_one_line(said: dict[str, float], message: str) -> None:
    with pytest.raises(TrainingFailed, match=message):
        Optimisation(Rated(**said), config(), "fp32").step(batch(0))
