"""The trainer: budgets, schedule, optimiser turns, and what it does when training goes wrong."""

from __future__ import annotations

import copy
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.data.batches import Batch
from harness.data.columns import Column, Files, InMemory, blocks, column_of
from harness.data.fields import DataSpec, ImageField
from harness.data.rows import Rows
from harness.errors import TrainingFailed
from harness.optimisation import Optimisation
from harness.precision import full_precision
from harness.records import Budget, TrainConfig
from harness.trainer import train


class Regression(nn.Module):
    """Predict the mean brightness of an image: a problem with a known optimum."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(16, 1)
        self.seen = 0

    def loss(self, batch: Batch) -> torch.Tensor:
        self.seen += len(batch.inputs)
        pixels = batch.inputs.flatten(1)
        return (self.layer(pixels) - pixels.mean(1, keepdim=True)).square().mean()


SPEC = DataSpec(inputs=ImageField(channels=1, size=4))


def split(n: int = 100) -> Rows:
    images = torch.randint(0, 256, (n, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return Rows(inputs=InMemory(images))


def run(method: nn.Module, budget: str, **config: float):
    return train(
        method,
        split(),
        SPEC,
        TrainConfig(**{"batch_size": 10, **config}),
        Budget.parse(budget),
        seed=0,
        precision="fp32",
        progress=lambda done, scalars: None,
    )


@pytest.mark.parametrize(
    ("budget", "steps"), [("3 epochs", 30), ("0.5 epochs", 5), ("7 steps", 7), ("65 images", 7), ("1e2 images", 10)]
)
def test_a_budget_is_spent_exactly(budget: str, steps: int) -> None:
    method = Regression()
    result = run(method, budget)
    assert (result.steps, result.examples, method.seen) == (steps, 10 * steps, 10 * steps)


def test_a_budget_in_seconds_ends_in_time() -> None:
    started = time.perf_counter()
    result = run(Regression(), "0.3 s")
    assert result.steps > 3
    assert 0.3 <= time.perf_counter() - started < 3


def test_the_loss_goes_down_and_the_curve_says_so() -> None:
    result = run(Regression(), "50 epochs", learning_rate=0.02)
    assert result.curve[-1].scalars["loss"] < 0.1 * result.curve[0].scalars["loss"]
    assert [point.examples for point in result.curve] == sorted({point.examples for point in result.curve})
    assert 90 <= len(result.curve) <= 101
    assert result.loss == result.curve[-1].scalars["loss"]
    assert result.parameters == 17


def test_the_same_seed_gives_the_same_curve_bit_for_bit() -> None:
    curves = [[point.scalars["loss"] for point in run(Regression(), "2 epochs").curve] for _ in range(2)]
    assert curves[0] == curves[1]


def test_divergence_is_an_error_that_names_the_loss() -> None:
    class Exploding(Regression):
        def loss(self, batch: Batch) -> torch.Tensor:
            return super().loss(batch) / (0.0 if batch.progress else 1.0)

    with pytest.raises(TrainingFailed, match="diverged: loss is not a finite number"):
        run(Exploding(), "1 epochs")


def test_one_step_is_adamw_with_decay_on_matrices_alone() -> None:
    """Against torch's AdamW, set up by hand, after several steps with clipping off."""
    ours, theirs = Regression(), Regression()
    config = TrainConfig(batch_size=10, learning_rate=0.01, weight_decay=0.3, clip_norm=0)
    optimisation = Optimisation(ours, config, "fp32")
    reference = torch.optim.AdamW(
        [{"params": [theirs.layer.weight], "weight_decay": 0.3}, {"params": [theirs.layer.bias], "weight_decay": 0}],
        lr=0.01,
    )
    for step in range(5):
        batch = Batch(inputs=split().values[10 * step : 10 * step + 10].float() / 255)
        optimisation.step(batch)
        reference.zero_grad()
        theirs.loss(batch).backward()
        reference.step()
    torch.testing.assert_close(ours.layer.weight, theirs.layer.weight)
    torch.testing.assert_close(ours.layer.bias, theirs.layer.bias)


class Adversaries(nn.Module):
    """Two players with one weight each: the second must see what the first has become in the same step."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(1, 1, bias=False)
        self.second = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.first.weight, 1.0)
        nn.init.constant_(self.second.weight, 1.0)
        self.seen_by_second: list[float] = []
        self.averages = 0

    def turns(self, batch: Batch):
        yield "first", self.first.weight.sum() * self.second.weight.sum()
        self.seen_by_second.append(self.first.weight.item())
        yield "second", -self.first.weight.sum() * self.second.weight.sum()

    def after_step(self) -> None:
        self.averages += 1


def test_turns_step_one_optimiser_each_and_resume_after_it() -> None:
    players = Adversaries()
    optimisation = Optimisation(players, TrainConfig(learning_rate=0.1, weight_decay=0, clip_norm=0), "fp32")
    optimisation.step(Batch(inputs=torch.zeros(2, 1, 1, 1)))
    assert players.seen_by_second == pytest.approx([0.9])  # the first step of Adam is the learning rate
    assert players.first.weight.item() == pytest.approx(0.9)  # the second's turn did not move it
    assert players.second.weight.item() == pytest.approx(1.1)
    assert players.averages == 1


def test_a_turn_of_nobody_is_an_error() -> None:
    class Nobody(Adversaries):
        def turns(self, batch: Batch):
            yield "third", self.first.weight.sum()

    with pytest.raises(TrainingFailed, match="yielded 'third'"):
        Optimisation(Nobody(), TrainConfig(), "fp32").step(Batch(inputs=torch.zeros(2, 1, 1, 1)))


def test_a_method_with_fit_sees_all_images_once() -> None:
    class Fitted(nn.Module):
        def fit(self, images: torch.Tensor) -> None:
            self.n = len(images)

    method = Fitted()
    assert run(method, "1 epochs").examples == method.n == 100


def test_a_method_with_fit_gets_a_column_of_what_is_not_in_memory() -> None:
    class Fitted(nn.Module):
        def fit(self, images: torch.Tensor | Column) -> None:
            self.sum = sum(int(part.sum()) for part in blocks(column_of(images), 30))

    values = torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1)
    files = Files(tuple(map(Path, map(str, range(100)))), lambda paths: values[[int(path.name) for path in paths]])
    for inputs in (InMemory(values), files):
        method, rows = Fitted(), Rows(inputs=inputs)
        result = train(
            method, rows, SPEC, TrainConfig(), Budget.parse("1 epoch"), seed=0, precision="fp32", progress=print
        )
        assert (result.examples, method.sum) == (100, 4950)


def test_a_budget_of_nothing_trains_nothing() -> None:
    method = Regression()
    before = method.layer.weight.clone()
    result = run(method, "0 steps")
    assert (result.status, result.steps, result.examples, result.loss, method.seen) == ("ok", 0, 0, None, 0)
    assert result.parameters == 17
    assert method.layer.weight.equal(before)


def test_the_optimiser_takes_the_steps_of_the_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []

    class Watched(Optimisation):
        def step(self, batch: Batch, rate: float = 1.0) -> torch.Tensor:
            loss = super().step(batch, rate)
            rates.append(self.optimisers[""].param_groups[0]["lr"])
            return loss

    monkeypatch.setattr("harness.trainer.Optimisation", Watched)
    run(Regression(), "10 epochs", batch_size=20, learning_rate=0.5, warmup=0.0, schedule="steps[2/10,0.7;0.1]")
    assert rates == pytest.approx([0.5] * 10 + [0.05] * 25 + [0.005] * 15)


def test_the_decay_rates_of_the_optimiser_are_those_of_the_config() -> None:
    optimisation = Optimisation(Regression(), TrainConfig(beta1=0.5, beta2=0.99), "fp32")
    optimisation.step(Batch(inputs=torch.rand(3, 1, 4, 4)))
    assert all(group["betas"] == (0.5, 0.99) for group in optimisation.optimisers[""].param_groups)


# What a method gives back. --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda value: {"loss": value}, "the loss returned a dict, expected a tensor"),
        (lambda value: value.expand(3), r"the loss returned \(3,\), expected \(\): reduce it, e.g. by .mean\(\)"),
        (lambda value: value.detach(), "the loss has no gradient: no trainable weight is in it"),
        (lambda value: value / 0, "the loss returned values that are not finite"),
    ],
)
def test_a_loss_that_is_none_is_an_error_in_one_line(loss, message: str) -> None:
    class Wrong(Regression):
        def loss(self, batch: Batch):
            return loss(super().loss(batch))

    with pytest.raises(TrainingFailed, match=message):
        run(Wrong(), "3 steps")


def test_a_loss_of_a_turn_is_named() -> None:
    class Wrong(Adversaries):
        def turns(self, batch: Batch):
            yield "first", self.first.weight

    with pytest.raises(TrainingFailed, match=r"the loss first returned \(1, 1\), expected \(\)"):
        run(Wrong(), "1 steps")


class Stepping(Regression):
    """Notes what `after_step` is called with, and tries what needs no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.slow = copy.deepcopy(self.layer).requires_grad_(False)
        self.seen_after: list[tuple[float, bool]] = []

    def loss(self, batch: Batch) -> torch.Tensor:
        self.latest = batch.progress
        return super().loss(batch)

    def after_step(self, progress: float) -> None:
        assert progress == self.latest
        self.seen_after.append((progress, torch.is_grad_enabled()))
        self.slow.weight.data = 0.5 * self.slow.weight + 0.5 * self.layer.weight


def test_after_step_gets_the_progress_of_its_batch_and_no_gradients() -> None:
    method = Stepping()
    run(method, "4 steps")
    assert method.seen_after == [(0.0, False), (0.25, False), (0.5, False), (0.75, False)]
    assert not method.slow.weight.requires_grad
    assert method.slow.weight.grad_fn is None


def test_after_step_without_an_argument_is_called_as_before() -> None:
    class Older(Regression):
        calls = 0

        def after_step(self) -> None:
            type(self).calls += 1

    run(Older(), "3 steps")
    assert Older.calls == 3


def test_parameters_are_those_that_an_optimiser_moved_and_the_rest_is_told() -> None:
    class Target(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.target = copy.deepcopy(self.layer)
            self.frozen = copy.deepcopy(self.layer).requires_grad_(False)

    result = run(Target(), "2 steps")
    assert result.parameters == 17
    assert result.note == (
        "target.weight, target.bias never got a gradient: freeze what is not to be trained, with requires_grad_(False)"
        "; seen changed in training, but no parameter or buffer keeps it: it is not saved; "
        "use register_buffer(), with persistent=False for what training alone needs"
    )


def test_weights_of_two_optimisers_are_counted_once_each() -> None:
    class Shared(Adversaries):
        def turns(self, batch: Batch):
            yield "", self.first.weight.sum() * self.second.weight.sum()
            yield "second", self.second.weight.sum()

    optimisation = Optimisation(Shared(), TrainConfig(), "fp32")
    optimisation.step(Batch(inputs=torch.zeros(2, 1, 1, 1)))
    assert (optimisation.stepped, optimisation.note) == (2, "")


def test_full_precision_holds_inside_a_loss_under_autocast() -> None:
    class Similar(Regression):
        def loss(self, batch: Batch) -> torch.Tensor:
            codes = self.layer(batch.inputs.flatten(1))
            rounded = codes.float() @ codes.float().T  # autocast rounds it whatever its inputs are
            with full_precision(codes.device):
                exact = codes.float() @ codes.float().T
                self.dtypes = (codes.dtype, rounded.dtype, exact.dtype)
            return exact.square().mean()

    for precision, expected in (
        ("bf16", (torch.bfloat16, torch.bfloat16, torch.float32)),
        ("fp32", (torch.float32,) * 3),
    ):
        method = Similar()
        Optimisation(method, TrainConfig(), precision).step(Batch(inputs=torch.rand(4, 1, 4, 4)))
        assert method.dtypes == expected


def test_a_note_that_is_no_text_fails_the_training() -> None:
    method = nn.Flatten()
    method.note = 5  # type: ignore[assignment]
    with pytest.raises(TrainingFailed, match="its note is a int, expected text"):
        run(method, "1 steps")
