"""How much of the training loop's time is forward, backward and the optimiser's step.

    python -m pytest benchmarks/speed/test_training_loop.py -o addopts="" -s

The trainer's whole loop (batches, conversion, schedule, clipping, curve) against the bare steps alone on batches that
are ready: the same method, optimiser and number of steps, in alternating rounds in one process.
"""

from __future__ import annotations

import time
from statistics import median

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import nn

from harness.allocation import keep_freed_memory
from harness.data.batches import Batch
from harness.data.columns import InMemory
from harness.data.fields import DataSpec, ImageField
from harness.data.images import to_float
from harness.data.rows import Rows
from harness.records import Budget, TrainConfig
from harness.trainer import train
from harness_plugins.backbones import convnet
from harness_plugins.models import vae
from harness_plugins.pretext import jigsaw, rotation

LEAST_SHARE = 0.90
STEPS, BATCH, ROUNDS = 30, 128, 5
SPEC = DataSpec(inputs=ImageField(channels=1, size=28, mean=(0.3,), std=(0.3,)))
METHODS = {"vae": vae.VAE, "jigsaw": jigsaw.Jigsaw, "rotation": rotation.Rotation}
CONFIGS = {"vae": vae.Config, "jigsaw": jigsaw.Config, "rotation": rotation.Config}


def method(name: str) -> nn.Module:
    torch.manual_seed(0)
    net = METHODS[name](convnet.build(SPEC, convnet.Config()), SPEC, CONFIGS[name]())
    return net.to(memory_format=torch.channels_last).train()


def images() -> torch.Tensor:
    shape = (STEPS * BATCH, 1, 28, 28)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def loop(name: str) -> float:
    """Seconds of the trainer for STEPS steps."""
    return train(
        method(name),
        Rows(inputs=InMemory(images())),
        SPEC,
        TrainConfig(batch_size=BATCH),
        Budget.parse(f"{STEPS} steps"),
        seed=0,
        precision="fp32",
        progress=lambda done, scalars: None,
    ).seconds


def bare(name: str) -> float:
    """Seconds of forward, backward and AdamW alone."""
    net = method(name)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    ready = [to_float(part).contiguous(memory_format=torch.channels_last) for part in images().split(BATCH)]
    started = time.perf_counter()
    for inputs in ready:
        optimiser.zero_grad()
        net.loss(Batch(inputs=inputs)).backward()
        optimiser.step()
    return time.perf_counter() - started


@pytest.mark.parametrize("name", METHODS)
def test_the_loop_adds_less_than_a_tenth(benchmark: BenchmarkFixture, name: str) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    keep_freed_memory()  # as in a cell, for both
    try:
        loop(name), bare(name)  # warm-up
        pairs = [(bare(name), loop(name)) for _ in range(ROUNDS)]
        benchmark.pedantic(loop, args=(name,), rounds=2)
    finally:
        torch.set_num_threads(before)
    share = median(steps / whole for steps, whole in pairs)
    benchmark.extra_info["share of forward, backward and optimiser step"] = share
    print(f"\n{name}: {share:.1%} of the loop is forward, backward and optimiser step")
    assert share >= LEAST_SHARE
