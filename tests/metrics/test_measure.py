"""Time, memory and FLOPs of work whose cost is known."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from harness.metrics import measure
from harness.settings import kept

CPU = torch.device("cpu")


def sleeper(seconds: float) -> measure.Work:
    return lambda: time.sleep(seconds)


def test_elapsed_counts_all_calls() -> None:
    assert 0.03 <= measure.elapsed(sleeper(0.01), CPU, calls=3) < 3


def test_throughput_is_seconds_per_call_and_bounded_in_time() -> None:
    started = time.perf_counter()
    timing = measure.throughput(sleeper(0.004), CPU, seconds=0.1)
    assert time.perf_counter() - started < 2
    assert len(timing.samples) == measure.BLOCKS
    assert timing.calls >= measure.BLOCKS
    assert 0.004 <= timing.median < 0.1


def test_work_longer_than_the_time_is_done_once_a_block() -> None:
    timing = measure.throughput(sleeper(0.02), CPU, seconds=0.001)
    assert timing.calls == measure.BLOCKS


def test_latency_times_each_call() -> None:
    calls = iter([*[0.001] * 18, *[0.02] * 400])  # two calls of warm-up and more; later ones are slow
    timing = measure.latency(lambda: time.sleep(next(calls)), CPU, seconds=0.001, fewest=30)
    assert timing.calls == 30
    assert timing.percentile(5) < 0.01 < timing.percentile(95)


def test_percentiles_interpolate_as_numpy_does() -> None:
    timing = measure.Timing(samples=(4.0, 1.0, 3.0, 2.0, 10.0), calls=5)
    assert timing.median == 3.0
    assert timing.percentile(50) == 3.0
    assert timing.percentile(95) == pytest.approx(8.8)  # numpy.percentile([1, 2, 3, 4, 10], 95)


def test_warm_up_waits_for_slow_first_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    durations = iter([0.5, 0.4, 0.2, 0.02, 0.019, 0.01, 0.01])
    monkeypatch.setattr(measure, "elapsed", lambda work, device: next(durations))
    assert measure.warm_up(lambda: None, CPU, seconds=60) == 0.019
    assert list(durations) == [0.01, 0.01]  # it stopped at the first call that was hardly faster


def test_warm_up_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    durations = (2.0**-step for step in range(10**9))  # ever faster
    monkeypatch.setattr(measure, "elapsed", lambda work, device: next(durations))
    assert measure.warm_up(lambda: None, CPU, seconds=0.01) < 0.5


def test_flops_by_the_formulas() -> None:
    layer, kernel = torch.nn.Linear(30, 20), torch.randn(8, 3, 5, 5)
    assert measure.flops(lambda: layer(torch.randn(7, 30))) == 2 * 7 * 30 * 20
    images = torch.randn(2, 3, 16, 16)
    assert measure.flops(lambda: F.conv2d(images, kernel, padding=2)) == 2 * 2 * 8 * 16 * 16 * 3 * 25
    with_gradient = torch.nn.Linear(30, 20)
    inputs = torch.randn(7, 30, requires_grad=True)
    assert measure.flops(lambda: with_gradient(inputs).sum().backward()) == 3 * 2 * 7 * 30 * 20
    assert measure.flops(lambda: images + 1) == 0


def test_flops_of_a_penalty_on_gradients() -> None:
    """What R1 and WGAN-GP do: torch's own tracker of modules fails in it."""
    network, inputs = torch.nn.Sequential(torch.nn.Linear(30, 20, bias=False)), torch.randn(7, 30)
    inputs.requires_grad_()

    def penalised() -> None:
        (gradient,) = torch.autograd.grad(network(inputs).sum(), inputs, create_graph=True)
        gradient.square().sum().backward()

    product = 2 * 7 * 30 * 20
    assert measure.flops(penalised) >= 3 * product  # forward, gradient, and the gradient of that


def test_gemm_peak_is_at_least_what_a_product_reaches() -> None:
    peak = measure.gemm_peak(CPU, torch.float32, seconds=0.05)
    one = torch.randn(8, 8)
    small = 2 * 8**3 / measure.throughput(lambda: one @ one, CPU, seconds=0.02).median
    assert peak > small  # by so much that a busy machine does not turn it round
    assert peak > 1e8
    assert measure.gemm_peak(CPU, torch.float32, seconds=0.05) == peak  # measured once


def test_the_peak_leaves_the_precision_of_products_as_it_was() -> None:
    before = kept()
    measure._gemm_peak.__wrapped__(CPU, torch.float32, 1, 0.01)
    with measure.tf32_products():
        assert torch.get_float32_matmul_precision() == "high"
    assert kept() == before


@pytest.mark.skipif(not measure.CLEAR_REFS.exists(), reason="this system cannot reset the peak of a process")
def test_peak_memory_sees_what_is_given_back_and_forgets_earlier_peaks() -> None:
    torch.ones(300 * 2**18)  # 300 MiB, freed at once: an earlier peak
    little = measure.peak_memory(lambda: None, CPU)
    much = measure.peak_memory(lambda: torch.ones(200 * 2**18), CPU)  # 200 MiB
    assert 190 < much.mebibytes - little.mebibytes < 230
    assert much.kind == "resident set of the process during the step"


def test_peak_memory_says_when_the_peak_is_an_old_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(measure, "CLEAR_REFS", tmp_path / "missing" / "clear_refs")
    monkeypatch.setattr(measure, "STATUS", tmp_path / "status")
    peak = measure.peak_memory(lambda: None, CPU)
    assert peak.kind == "resident set of the process since the process started"
    assert 10 < peak.mebibytes < 100_000


def test_a_device_that_works_is_usable() -> None:
    assert measure.unusable(CPU) == ""
