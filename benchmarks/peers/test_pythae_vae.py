"""A VAE of 784-400-16 at batch 100 beside its limit, and beside Pythae's: the same sizes, loss, optimiser and images.

    python -m pytest benchmarks/peers/test_pythae_vae.py -o addopts="" -s

The limit comes first: the matrix products of forward and backward in fp32, and fused AdamW, of the same layers one
after the other as a step takes them, and nothing else: no loss, no batches, no autograd. No fp32 loop can pass it.
Then Harness's and Pythae's, each by the call that a user makes, harness.trainer's train() and Pythae's
BaseTrainer.train(), with the defaults of each, EPOCHS epochs of grey images of 28x28 from memory. What is timed is that
call, without the building of model and data. All take turns in one process, and medians of the rounds' ratios count.

What is asserted: at its fastest precision the whole loop reaches 0.9 of the fp32 limit. In fp32 it cannot. A bare
torch loop of the layers alone (ReLU, biases and autograd, the sum of the outputs for a loss) came to 0.9 here, and one
with the VAE's loss to 0.74: what remains are passes over 784 pixels and the small operations of the divergence. So in
fp32 Harness's share of that bare loop is asserted. The ratio to Pythae is told and not asserted, since the limit bounds
it: here the limit is 1.85 times Pythae's speed, and Harness comes to 1.3 in fp32 and 1.9 in bf16.

A bench of two seeds on two cores, which Harness trains beside each other with a thread each and Pythae one after the
other with both threads, is measured apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

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
from harness_plugins.backbones import mlp
from harness_plugins.models import vae

LEAST_OF_THE_LIMIT = 0.9  # of the fp32 limit, at the fastest precision
LEAST_OF_BARE = 0.9  # of a bare loop of the same step, in fp32
LEAST_RATIO_OF_A_BENCH = 2.0
IMAGES, BATCH, HIDDEN, LATENT = 4_000, 100, 400, 16
EPOCHS, ROUNDS = 2, 7
STEPS = EPOCHS * IMAGES // BATCH
LAYERS = ((784, HIDDEN), (HIDDEN, 2 * LATENT), (LATENT, HIDDEN), (HIDDEN, 784))  # inputs and outputs of each
SPEC = DataSpec(inputs=ImageField(channels=1, size=28, mean=(0.3,), std=(0.3,)))


def images() -> torch.Tensor:
    """uint8 (N,1,28,28); speed does not depend on what they show."""
    return torch.randint(0, 256, (IMAGES, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@torch.no_grad()
def limit() -> float:
    """Seconds of STEPS steps' matrix products and AdamW alone."""
    layers = [nn.Linear(inputs, outputs) for inputs, outputs in LAYERS]
    optimiser = torch.optim.AdamW([weight for layer in layers for weight in layer.parameters()], lr=1e-3, fused=True)
    activations = [torch.rand(BATCH, inputs) for inputs, _ in LAYERS]  # (B,I)
    gradients = [torch.rand(BATCH, outputs) / 100 for _, outputs in LAYERS]  # (B,O)
    for layer in layers:
        layer.bias.grad = torch.zeros_like(layer.bias)
    started = time.perf_counter()
    for _ in range(STEPS):
        for layer, activation in zip(layers, activations, strict=True):
            torch.addmm(layer.bias, activation, layer.weight.T)  # (B,O)
        for index in reversed(range(len(layers))):
            layers[index].weight.grad = gradients[index].T @ activations[index]  # (O,I)
            if index:  # images need no gradient
                gradients[index] @ layers[index].weight  # (B,I)
        optimiser.step()
    return time.perf_counter() - started


def the_method() -> vae.VAE:
    config = vae.Config(latent_dim=LATENT, decoder="mlp", hidden=HIDDEN)
    return vae.VAE(mlp.build(SPEC, mlp.Config(hidden=HIDDEN)), SPEC, config)


def bare() -> float:
    """Seconds of STEPS steps of a plain torch loop: the loss on ready batches, backward, AdamW."""
    method = the_method()
    optimiser = torch.optim.AdamW(method.parameters(), lr=1e-3, fused=True)
    batches = [Batch(inputs=to_float(part)) for part in images().split(BATCH)] * EPOCHS
    started = time.perf_counter()
    for batch in batches:
        optimiser.zero_grad()
        method.loss(batch).backward()
        optimiser.step()
    return time.perf_counter() - started


def ours(precision: str) -> float:
    """Seconds of EPOCHS epochs."""
    result = train(
        the_method(),
        Rows(inputs=InMemory(images())),
        SPEC,
        TrainConfig(batch_size=BATCH, clip_norm=0.0),
        Budget.parse(f"{EPOCHS} epochs"),
        seed=0,
        precision=precision,
        progress=lambda done, scalars: None,
    )
    assert result.examples == EPOCHS * IMAGES
    return result.seconds


def pythae_trainer(folder: str) -> Any:
    """Pythae's trainer with a new model."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(784, HIDDEN), nn.ReLU())
            self.mean, self.log_variance = nn.Linear(HIDDEN, LATENT), nn.Linear(HIDDEN, LATENT)

        def forward(self, x: torch.Tensor) -> ModelOutput:
            hidden = self.layers(x)
            return ModelOutput(embedding=self.mean(hidden), log_covariance=self.log_variance(hidden))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 784), nn.Sigmoid())

        def forward(self, z: torch.Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.layers(z).view(-1, 1, 28, 28))

    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT, reconstruction_loss="bce")
    floats = images().float() / 255
    trainer = BaseTrainer(
        model=VAE(config, encoder=Encoder(), decoder=Decoder()),
        train_dataset=BaseDataset(floats, torch.zeros(IMAGES)),
        training_config=BaseTrainerConfig(
            output_dir=folder,
            num_epochs=EPOCHS,
            per_device_train_batch_size=BATCH,
            learning_rate=1e-3,
            optimizer_cls="AdamW",
            no_cuda=True,
        ),
    )
    return trainer


def theirs(folder: str) -> float:
    """Seconds of EPOCHS epochs."""
    trainer = pythae_trainer(folder)
    started = time.perf_counter()
    trainer.train()
    return time.perf_counter() - started


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("threads", [1, 2])
def test_the_loop_reaches_nine_tenths_of_its_limit(benchmark: BenchmarkFixture, tmp_path: Path, threads: int) -> None:
    before = torch.get_num_threads()
    keep_freed_memory()  # as in a cell, for everybody
    torch.set_num_threads(threads)
    contestants: dict[str, Callable[[], float]] = {
        "limit": limit,
        "bare loop": bare,
        "harness fp32": lambda: ours("fp32"),
        "harness bf16": lambda: ours("bf16"),
        "pythae": lambda: theirs(str(tmp_path)),
    }
    try:
        for run in contestants.values():
            run()  # warm-up
        rounds = [{name: run() for name, run in contestants.items()} for _ in range(ROUNDS)]
        benchmark.pedantic(lambda: ours("fp32"), rounds=1)
    finally:
        torch.set_num_threads(before)

    def ratio(of: str, to: str) -> float:
        return median(each[to] / each[of] for each in rounds)

    fastest = max(("harness fp32", "harness bf16"), key=lambda name: ratio(name, "limit"))
    print(f"\n{threads} thread(s), limit {1000 * median(each['limit'] for each in rounds) / STEPS:.2f} ms a step")
    for name in contestants:
        print(f"  {name:12}  {ratio(name, 'limit'):.2f} of the limit, {ratio(name, 'pythae'):.2f} times pythae's speed")
    benchmark.extra_info |= {name: ratio(name, "limit") for name in contestants}
    assert ratio(fastest, "limit") >= LEAST_OF_THE_LIMIT
    assert ratio("harness fp32", "bare loop") >= LEAST_OF_BARE


@pytest.mark.filterwarnings("ignore")
def test_a_bench_of_two_seeds_takes_half_the_time_of_pythaes(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    import os

    import harness

    if not (Path(os.environ.get("HARNESS_DATA", "absent")) / "FashionMNIST" / "raw").is_dir():
        pytest.skip("Fashion-MNIST is not here: set HARNESS_DATA to a data root that has it")
    if torch.get_num_threads() != 2:
        pytest.skip("this comparison is for two cores")

    def bench(out: Path) -> float:
        """Images/s of both trainings together, by the slower one."""
        results = harness.bench(
            f"vae[latent_dim={LATENT},decoder=mlp,hidden={HIDDEN}]",
            references="none",
            backbone=f"mlp[hidden={HIDDEN}]",
            datasets="fashion-mnist",
            budget=f"{2 * EPOCHS * IMAGES} images",
            set=[f"train.batch_size={BATCH}", "train.clip_norm=0"],
            seeds=2,
            jobs=2,
            evaluations="none",
            out=out,
            progress=False,
        )
        assert results.ok
        return sum(cell.training.examples for cell in results.cells) / max(c.training.seconds for c in results.cells)

    mine = bench(tmp_path / "first")
    other = EPOCHS * IMAGES / median(theirs(str(tmp_path / "pythae")) for _ in range(ROUNDS))
    mine = median([mine, bench(tmp_path / "second"), bench(tmp_path / "third")])
    benchmark.extra_info |= {"ratio": mine / other}
    benchmark.pedantic(bench, args=(tmp_path / "fourth",), rounds=1)
    print(f"\ntwo seeds on two cores: harness {mine:,.0f} images/s, pythae {other:,.0f}, ratio {mine / other:.2f}")
    assert mine / other >= LEAST_RATIO_OF_A_BENCH
