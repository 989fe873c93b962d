"""The training loop of each method of texts beside a bare loop of the same network.

    python -m pytest benchmarks/speed/test_text_loops.py -o addopts="" -s

The loop is the trainer's, as a cell runs it: batches of tokens that are drawn anew, schedule, clipping, curve. The bare
loop is forward, backward and torch's fused AdamW on batches that are ready; it asks and masks as the method does, since
that is the method. Both run in one process on one thread, in alternating rounds with the same allocator, timed by the
processor time that they take, so that other work on the machine counts less.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn

from harness.allocation import keep_freed_memory
from harness.data.batches import Batch
from harness.data.columns import InMemory, Texts
from harness.data.fields import DataSpec, TextField
from harness.data.rows import Rows
from harness.records import Budget, TrainConfig
from harness.registry import METHOD_KINDS, Registry
from harness.registry.config import resolve
from harness.trainer import train

LEAST_SHARE = 0.90
STEPS, ROUNDS, LENGTH, PIECES = 32, 3, 64, 2048
METHODS = {
    "next-word": "gru",
    "masked-word": "transformer",
    "skip-gram": "bag-of-embeddings",
    "sentence-order": "gru",
    "simcse": "transformer",
}  # each on a backbone that suits it


@pytest.fixture(autouse=True)
def as_in_a_cell() -> Iterator[None]:
    """Freed memory, denormals and threads as a cell has them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    keep_freed_memory()
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


def spec() -> DataSpec[TextField]:
    """Sentences of numbers, whose pieces make a vocabulary of nearly the size of that of docstrings."""
    strings = tuple(f"The {number} of {number * 7919 % 9973} is not {number * 31 % 4001}." for number in range(6000))
    return DataSpec(inputs=TextField(length=LENGTH, pieces=PIECES).measured(Texts(strings)))


def tokens(data: DataSpec[TextField], count: int) -> Tensor:
    """Texts of 20 to 64 tokens, with an end of a sentence every dozen of them."""
    source = torch.Generator().manual_seed(0)
    drawn = torch.randint(2, len(data.inputs.vocabulary), (count, LENGTH), generator=source)
    drawn[:, 11::12] = data.inputs.vocabulary.index(".")
    lengths = torch.randint(20, LENGTH + 1, (count, 1), generator=source)
    return drawn.masked_fill(torch.arange(LENGTH) >= lengths, 0)


def built(name: str, data: DataSpec[TextField]) -> tuple[nn.Module, TrainConfig]:
    registry = Registry()
    encoder, method = registry.load(METHODS[name], ("backbone",)).spec, registry.load(name, METHOD_KINDS).spec
    torch.manual_seed(0)
    backbone = encoder.build(data, resolve(encoder.config, {}, METHODS[name]))
    return method.build(backbone, data, resolve(method.config, {}, name)).train(), TrainConfig(**method.recipe)


def loop(name: str, data: DataSpec[TextField], precision: str) -> float:
    """Processor seconds of the trainer for STEPS steps."""
    method, config = built(name, data)
    rows, budget = Rows(inputs=InMemory(tokens(data, STEPS * config.batch_size))), Budget.parse(f"{STEPS} steps")
    started = time.process_time()
    train(method, rows, data, config, budget, seed=0, precision=precision, progress=lambda done, scalars: None)
    return time.process_time() - started


def bare(name: str, data: DataSpec[TextField], precision: str) -> float:
    """Processor seconds of forward, backward and AdamW alone."""
    method, config = built(name, data)
    optimiser = torch.optim.AdamW(method.parameters(), lr=config.learning_rate, fused=True)
    ready = tokens(data, STEPS * config.batch_size).split(config.batch_size)
    started = time.process_time()
    for inputs in ready:
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = method.loss(Batch(inputs=inputs))
        loss.backward()
        optimiser.step()
    return time.process_time() - started


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", METHODS)
def test_the_loop_of_texts_is_nearly_as_fast_as_a_bare_one(
    benchmark: BenchmarkFixture, name: str, precision: str
) -> None:
    data = spec()
    loop(name, data, precision), bare(name, data, precision)  # warm-up
    rounds = [
        (bare(name, data, precision), loop(name, data, precision), bare(name, data, precision)) for _ in range(ROUNDS)
    ]
    benchmark.pedantic(loop, args=(name, data, precision), rounds=1)
    share = median((before + after) / 2 / whole for before, whole, after in rounds)
    seconds = median(whole for _, whole, _ in rounds) / STEPS
    benchmark.extra_info |= {"bare loop / loop": share, "seconds per step": seconds}
    print(f"\n{name} on {METHODS[name]}, {precision}: {1000 * seconds:.1f} ms a step, {share:.3f} of the bare loop")
    assert share >= LEAST_SHARE
