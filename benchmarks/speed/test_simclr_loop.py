"""SimCLR's whole training loop beside a bare loop of its forward, backward and step, and where a step's time goes.

    python -m pytest benchmarks/speed/test_simclr_loop.py -o addopts="" -s

The loop is the trainer's, as a cell runs it: batches from uint8, two random views of each image, schedule, clipping,
curve. The bare loop gets ready batches and twice the same images for views, so that what is made per step costs it
nothing; the optimiser is torch's fused AdamW for both. Both run in one process, in alternating rounds, with the same
allocator: harness.allocation says what glibc's habit of handing memory back cost before. One thread is timed by its
own processor time, so that other work on the machine counts less; two by the clock.

The table is of the trainer's own step with a clock between its parts, each a median.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn

from harness.allocation import keep_freed_memory
from harness.building import in_channels_last
from harness.data.batches import Batch, batch_of
from harness.data.columns import InMemory
from harness.data.fields import DataSpec, ImageField
from harness.data.images import to_float
from harness.data.rows import Rows
from harness.nn.contrastive import nt_xent
from harness.optimisation import Optimisation
from harness.precision import autocast
from harness.records import Budget, TrainConfig
from harness.trainer import train
from harness_plugins.backbones import convnet
from harness_plugins.pretext import simclr

LEAST_SHARE = 0.90
STEPS, BATCH, ROUNDS = 24, 256, 5
SPEC = DataSpec(inputs=ImageField(channels=1, size=28, mean=(0.3,), std=(0.3,), mirror=True))
CONFIG = TrainConfig(batch_size=BATCH)
PARTS = ("batch", "views", "forward", "loss", "backward", "clipping", "optimiser")


@pytest.fixture(autouse=True)
def as_in_a_cell() -> Iterator[None]:
    """Denormals, freed memory and threads as a cell has them."""
    threads = torch.get_num_threads()
    keep_freed_memory()
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


@contextmanager
def deterministic() -> Iterator[None]:
    """Kernels as a cell has them; the bare loop takes torch's own."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def now() -> float:
    """Seconds of this process on its processor, where that is all that its work takes."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def images() -> Tensor:
    shape = (STEPS * BATCH, 1, 28, 28)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def method(view: Callable[[Tensor], Tensor] | None = None) -> Any:
    torch.manual_seed(0)
    net: Any = in_channels_last(simclr.SimClr(convnet.build(SPEC, convnet.Config()), SPEC, simclr.Config())).train()
    net.view = view or net.view
    return net


def loop(precision: str) -> float:
    """Seconds of the trainer for STEPS steps."""
    net, rows = method(), Rows(inputs=InMemory(images()))
    budget = Budget.parse(f"{STEPS} steps")
    with deterministic():
        started = now()
        train(net, rows, SPEC, CONFIG, budget, seed=0, precision=precision, progress=lambda done, means: None)
        return now() - started


def bare(precision: str) -> float:
    """Seconds of forward, backward and AdamW alone."""
    net = method(lambda inputs: inputs)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    ready = [to_float(part).contiguous(memory_format=torch.channels_last) for part in images().split(BATCH)]
    started = now()
    for inputs in ready:
        optimiser.zero_grad()
        with autocast(inputs.device, precision):
            loss = net.loss(Batch(inputs=inputs))
        loss.backward()
        optimiser.step()
    return now() - started


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_loop_with_its_views_is_nearly_as_fast_as_a_bare_one(
    benchmark: BenchmarkFixture, precision: str, threads: int
) -> None:
    torch.set_num_threads(threads)
    loop(precision), bare(precision)  # warm-up
    rounds = [(bare(precision), loop(precision), bare(precision)) for _ in range(ROUNDS)]
    benchmark.pedantic(loop, args=(precision,), rounds=1)
    share = median((before + after) / 2 / whole for before, whole, after in rounds)
    rate = STEPS * BATCH / median(whole for _, whole, _ in rounds)
    benchmark.extra_info |= {"bare loop / loop": share, "images/s": rate}
    print(f"\n{precision}, {threads} thread(s): {rate:,.0f} images/s, {share:.3f} of the bare loop")
    print(table(precision))
    assert share >= LEAST_SHARE


def table(precision: str) -> str:
    """The share of each part in the trainer's step, in percent."""
    net, rows = method(), Rows(inputs=InMemory(images()))
    optimisation = Optimisation(net, CONFIG, precision)
    steps = [parts_of_a_step(net, rows, optimisation, precision) for _ in range(3 + 2 * ROUNDS)][3:]
    milliseconds = {part: 1000 * median(step[part] for step in steps) for part in PARTS}
    whole = sum(milliseconds.values())
    return "  ".join(f"{part} {each:.1f} ms ({each / whole:.1%})" for part, each in milliseconds.items())


def parts_of_a_step(net: Any, rows: Rows, optimisation: Optimisation, precision: str) -> dict[str, float]:
    """Seconds of each part: what harness.optimisation does in a step, one after the other."""
    marks = [now()]
    mark = lambda: marks.append(now())  # noqa: E731
    batch = batch_of(rows.rows(torch.randperm(len(rows))[:BATCH]), SPEC)
    mark()
    with autocast(batch.inputs.device, precision):
        views = torch.cat([net.view(batch.inputs), net.view(batch.inputs)])
        mark()
        one, other = net.projector(net.backbone(views)).chunk(2)
        mark()
        loss = nt_xent(one, other, net.config.temperature)
    mark()
    optimiser = optimisation.optimisers.get("") or optimisation._create("")
    optimiser.zero_grad()
    loss.backward()
    mark()
    nn.utils.clip_grad_norm_(net.parameters(), CONFIG.clip_norm)
    mark()
    optimiser.step()
    mark()
    return {part: after - before for part, before, after in zip(PARTS, marks[:-1], marks[1:], strict=True)}
