"""A VAE of 784-400-16 at batch 100 beside Pythae's, in one process: the same sizes, loss, optimiser and images.

    python -m pytest benchmarks/peers/test_pythae_vae.py -o addopts="" -s

Both train whole epochs of 10,000 grey images of 28x28 from memory with their own trainers; what is timed is an epoch
by the trainer's own method, without its set-up. Rounds alternate, and the ratio of medians counts.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import nn

from harness.data.images import ImageSplit
from harness.records import Budget, ImageSpec, TrainConfig
from harness.trainer import train
from harness_plugins.backbones import mlp
from harness_plugins.models import vae

LEAST_RATIO = 2.0
IMAGES, BATCH, HIDDEN, LATENT = 10_000, 100, 400, 16
ROUNDS = 4


def images() -> torch.Tensor:
    """uint8 (N,1,28,28); speed does not depend on what they show."""
    return torch.randint(0, 256, (IMAGES, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def ours() -> float:
    """Seconds of an epoch."""
    spec = ImageSpec(channels=1, size=28, mean=(0.3,), std=(0.3,))
    config = vae.Config(latent_dim=LATENT, decoder="mlp", hidden=HIDDEN)
    method = vae.VAE(mlp.build(spec, mlp.Config(hidden=HIDDEN)), spec, config)
    result = train(
        method,
        ImageSplit(images=images()),
        TrainConfig(batch_size=BATCH, clip_norm=0.0),
        Budget.parse("1 epoch"),
        seed=0,
        precision="fp32",
        progress=lambda done, scalars: None,
    )
    assert result.images == IMAGES
    return result.seconds


def pythae_trainer(folder: str) -> Any:
    """Pythae's trainer, ready to train an epoch."""
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
            num_epochs=1,
            per_device_train_batch_size=BATCH,
            learning_rate=1e-3,
            optimizer_cls="AdamW",
            no_cuda=True,
        ),
    )
    trainer.prepare_training()
    return trainer


def theirs(trainer: Any) -> float:
    """Seconds of an epoch."""
    started = time.perf_counter()
    trainer.train_step(1)
    return time.perf_counter() - started


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("threads", [1, 2])
def test_an_epoch_takes_half_the_time_of_pythaes(benchmark: BenchmarkFixture, tmp_path: Path, threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        trainer = pythae_trainer(str(tmp_path))
        ours(), theirs(trainer)  # warm-up
        pairs = [(ours(), theirs(trainer)) for _ in range(ROUNDS)]
        benchmark.pedantic(ours, rounds=2)
    finally:
        torch.set_num_threads(before)
    mine, other = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    benchmark.extra_info |= {"ratio": other / mine, "pythae seconds": other}
    print(
        f"\n{threads} threads: harness {IMAGES / mine:,.0f} images/s, pythae {IMAGES / other:,.0f} images/s, "
        f"ratio {other / mine:.2f}"
    )
    assert other / mine >= LEAST_RATIO
