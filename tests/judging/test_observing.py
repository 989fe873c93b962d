"""A method that is looked at trains as one that is not, bit for bit, and the time of looking is nobody's."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.clock import Clock
from harness.data.batches import Batch
from harness.data.columns import InMemory
from harness.data.fields import DataSpec, ImageField
from harness.data.rows import Dataset, Rows
from harness.errors import TrainingFailed
from harness.judging.collapse import CollapseWatch
from harness.judging.monitor import Monitor
from harness.judging.observing import Encoder, Moments, Observer, undisturbed
from harness.records import Budget, TrainConfig, TrainingResult
from harness.trainer import train

SPEC = DataSpec(inputs=ImageField(channels=1, size=4), classes=("dark", "light"))


class Restless(nn.Module):
    """Everything that looking could disturb: statistics, modes, dropout, draws of all generators, a buffer."""

    calls: Tensor

    def __init__(self, pause: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.pause = pause
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3))
        self.frozen = nn.BatchNorm1d(8).eval()
        self.head = nn.Linear(8, 1)
        self.register_buffer("calls", torch.zeros(()))

    def loss(self, batch: Batch) -> Tensor:
        noise = torch.rand(len(batch.inputs), 1) + random.random() + float(np.random.rand())
        return (self.head(self.frozen(self.net(batch.inputs))) - noise).square().mean()

    def encode(self, images: Tensor) -> Tensor:
        time.sleep(self.pause)
        self.calls += 1
        torch.rand(3), np.random.rand(), random.random()
        self.train()  # a mistake, and yet no reason to change what is trained
        return self.net(images)

    def train(self, mode: bool = True) -> Restless:
        super().train(mode)
        self.frozen.eval()
        return self


def dataset(labels: bool = True) -> Dataset:
    def rows(n: int, seed: int) -> Rows:
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 256, (n, 1, 4, 4), generator=generator, dtype=torch.uint8)
        light = images.float().mean((1, 2, 3)) > 127
        return Rows(inputs=InMemory(images), labels=light.long() if labels else None)

    return Dataset(name="noise", spec=SPEC, train=rows(100, 0), validation=rows(60, 1), test=rows(10, 2))


def observed(method: nn.Module, data: Dataset, budget: str, count: int) -> tuple[TrainingResult, Monitor]:
    """A training of `method`, looked at `count` times by the monitor and by the watch."""
    encoder = Encoder(method=method, data=data.spec, device="cpu", precision="fp32")
    monitor = Monitor(encoder, data, seed=0, news=lambda done, scalars: None)
    looks = [(Moments(count), monitor.look), (Moments(count), CollapseWatch(encoder, data, (), seed=0).look)]
    return trained(method, data, budget, Observer(method, "cpu", looks if count else [])), monitor


def trained(method: nn.Module, data: Dataset, budget: str, observe) -> TrainingResult:
    return train(
        method,
        data.seen("train", ()),
        data.spec,
        TrainConfig(batch_size=10),
        Budget.parse(budget),
        seed=0,
        precision="fp32",
        progress=lambda done, scalars: None,
        observe=observe,
    )


def test_looking_changes_no_weight_no_statistic_and_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.judging.collapse.EARLIEST", 5)
    alone, seen = Restless(), Restless()
    curves = [[p.scalars for p in observed(m, dataset(), "40 steps", n)[0].curve] for m, n in ((alone, 0), (seen, 8))]
    assert curves[0] == curves[1]
    assert all(torch.equal(seen.state_dict()[name], value) for name, value in alone.state_dict().items())


def look_and_fail(method: Restless) -> None:
    with undisturbed(method, torch.device("cpu")):
        assert not method.net.training
        assert not torch.is_grad_enabled()
        method.encode(torch.rand(4, 1, 4, 4))
        method.calls = torch.ones(())
        raise TrainingFailed("collapsed")


def test_undisturbed_gives_back_modes_buffers_and_generators_even_after_an_error() -> None:
    method = Restless().train()
    method.net[2].eval()
    modes = {name: module.training for name, module in method.named_modules()}
    state = {name: value.clone() for name, value in method.state_dict().items()}
    kept = method.calls
    draws = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    with pytest.raises(TrainingFailed):
        look_and_fail(method)
    assert {name: module.training for name, module in method.named_modules()} == modes
    assert all(torch.equal(method.state_dict()[name], value) for name, value in state.items())
    assert method.calls is kept
    assert torch.equal(torch.get_rng_state(), draws[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == (draws[1], draws[2].tolist())
    assert torch.is_grad_enabled()


def test_the_time_of_looking_is_no_training_time() -> None:
    method = Restless(pause=0.3)
    started = time.perf_counter()
    result, monitor = observed(method, dataset(), "8 steps", 2)
    assert len(monitor.points) == 3
    assert time.perf_counter() - started > 1.8  # three points of two slices each
    assert result.seconds < 0.5 * (time.perf_counter() - started)
    assert monitor.points[0].seconds < 0.3


def test_a_budget_in_seconds_is_spent_on_training_alone() -> None:
    started = time.perf_counter()
    result, monitor = observed(Restless(pause=0.1), dataset(), "0.3 s", 2)
    assert len(monitor.points) == 3
    assert time.perf_counter() - started > 0.9
    assert 0.3 <= result.seconds < 0.3 + 0.5 * (time.perf_counter() - started)


def test_a_paused_clock_stands_still() -> None:
    clock = Clock(Budget.parse("10 s"), 1, 1)
    with clock.paused():
        before = clock.seconds
        time.sleep(0.5)
        assert clock.seconds == before
    assert clock.seconds < before + 0.4


def test_moments_are_even_the_start_and_the_end_are_among_them_and_none_comes_twice() -> None:
    found = []
    moments = Moments(4)
    trained(Restless(), dataset(), "10 steps", lambda clock: moments.due(clock.done) and found.append(clock.steps))
    assert found == [0, 3, 5, 8, 10]


def test_an_error_of_who_looks_ends_training_and_the_curve_so_far_is_kept() -> None:
    def observe(clock: Clock) -> None:
        if clock.steps == 6:
            raise TrainingFailed("seen enough")

    with pytest.raises(TrainingFailed, match="seen enough") as caught:
        trained(Restless(), dataset(), "10 steps", observe)
    so_far = caught.value.so_far
    assert (so_far["steps"], so_far["examples"], so_far["counted"]) == (6, 60, "images")
    assert [point.examples for point in so_far["curve"]] == [10, 20, 30, 40, 50, 60]


def test_encodings_that_are_no_vectors_are_told() -> None:
    class Flat(nn.Module):
        def encode(self, images: Tensor) -> Tensor:
            return images

    encoder = Encoder(method=Flat(), data=SPEC, device="cpu", precision="fp32")
    with pytest.raises(TrainingFailed, match=r"encode\(\) returned \(60, 1, 4, 4\), expected \(60, D\)"):
        encoder.features(dataset().validation.inputs)


def test_a_monitored_bench_gives_the_same_numbers_and_stores_its_points(tmp_path: Path) -> None:
    import harness
    from harness.report.content import MONITORED

    same = {"references": "none", "seeds": 1, "budget": "8 steps", "evaluations": "none", "progress": False}
    plain = harness.bench("rotation", **same, out=tmp_path / "plain").cells[0]
    results = harness.bench("rotation", **same, out=tmp_path / "seen", monitor=2)
    seen = results.cells[0]
    assert (plain.key, plain.training.loss) == (seen.key, seen.training.loss)
    assert [p.scalars for p in plain.training.curve] == [p.scalars for p in seen.training.curve]
    weights = [(tmp_path / run / "artifacts" / seen.key / "method.safetensors") for run in ("plain", "seen")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert plain.training.monitor == ()
    assert [point.examples for point in seen.training.monitor] == [0, 512, 1024]
    assert all(0 < point.scalars["kNN accuracy"] <= 1 for point in seen.training.monitor)
    assert MONITORED in (tmp_path / "seen" / "index.html").read_text()
    assert MONITORED in (tmp_path / "seen" / "report.md").read_text()
    assert MONITORED not in (tmp_path / "plain" / "index.html").read_text()
    again = harness.bench("rotation", **same, out=tmp_path / "plain", monitor=2).cells[0]
    assert again == plain  # cached without: it stays so
