"""The training loop of every video method beside a bare loop of the same model's forward, backward and step.

    python -m pytest benchmarks/speed/test_video_loops.py -o addopts="" -s

The loop is the trainer's, as a cell runs it: batches from uint8, schedule, clipping, curve. The bare loop gets ready
batches and torch's fused AdamW. Both have the same draws, run in one process, in alternating rounds, and are timed by
the processor time of their one thread, so that other work on the machine counts less.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from harness.allocation import keep_freed_memory
from harness.building import in_channels_last
from harness.data.batches import Batch
from harness.data.columns import InMemory
from harness.data.fields import DataSpec, VideoField
from harness.data.rows import Rows
from harness.records import Budget, TrainConfig
from harness.trainer import train
from harness_plugins.backbones import conv3d, frames, video_vit
from harness_plugins.pretext import arrow_of_time, frame_order, middle_frame, next_frame, speed, video_mae

LEAST_SHARE = 0.90
STEPS, BATCH, ROUNDS = 8, 64, 3
FIELD = VideoField(frames=12, channels=1, size=24, mean=(0.1,), std=(0.25,))  # moving-digits
SPEC = DataSpec(inputs=FIELD)
METHODS: dict[str, tuple[Any, Any]] = {
    "next-frame": (next_frame, frames),
    "middle-frame": (middle_frame, frames),
    "frame-order": (frame_order, conv3d),
    "arrow-of-time": (arrow_of_time, conv3d),
    "speed": (speed, frames),
    "video-mae": (video_mae, video_vit),
}


def method(name: str) -> Any:
    torch.manual_seed(0)
    module, backbone = METHODS[name]
    return in_channels_last(
        module.harness_method().build(backbone.build(SPEC, backbone.Config()), SPEC, module.Config())
    ).train()


def clips() -> torch.Tensor:
    shape = (STEPS * BATCH, FIELD.frames, 1, FIELD.size, FIELD.size)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def loop(name: str) -> float:
    """Seconds of the trainer for STEPS steps."""
    net, rows, config = method(name), Rows(inputs=InMemory(clips())), TrainConfig(batch_size=BATCH)
    budget, started = Budget.parse(f"{STEPS} steps"), time.process_time()
    train(net, rows, SPEC, config, budget, seed=0, precision="fp32", progress=lambda done, scalars: None)
    return time.process_time() - started


def bare(name: str) -> float:
    """Seconds of forward, backward and AdamW alone."""
    net = method(name)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    ready = [FIELD.ready(part) for part in clips().split(BATCH)]
    started = time.process_time()
    for inputs in ready:
        optimiser.zero_grad()
        net.loss(Batch(inputs=inputs)).backward()
        optimiser.step()
    return time.process_time() - started


@pytest.mark.parametrize("name", METHODS)
def test_the_loop_of_clips_adds_less_than_a_tenth(benchmark: BenchmarkFixture, name: str) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    keep_freed_memory()  # as in a cell, for both
    try:
        loop(name), bare(name)  # warm-up
        rounds = [(bare(name), loop(name), bare(name)) for _ in range(ROUNDS)]
        benchmark.pedantic(loop, args=(name,), rounds=1)
    finally:
        torch.set_num_threads(before)
    share = median((first + second) / 2 / whole for first, whole, second in rounds)
    rate = STEPS * BATCH / median(whole for _, whole, _ in rounds)
    benchmark.extra_info |= {"bare loop / loop": share, "clips/s": rate}
    print(f"\n{name}: {rate:,.0f} clips/s, {share:.3f} of the bare loop")
    assert share >= LEAST_SHARE
