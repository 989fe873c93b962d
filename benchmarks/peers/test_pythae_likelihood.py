"""The likelihood of an MLP VAE beside Pythae's: the same binarised clothes, sizes, optimiser and epochs, one estimator.

    HARNESS_DATA=~/data python -m pytest benchmarks/peers/test_pythae_likelihood.py -o addopts="" -s

784-400-40-400-784 with ReLU, Adam of 1e-4, batches of 100, EPOCHS epochs of the 54,000 training rows of
`fashion-mnist[binarise=true]`; by a constant rate, and by one that falls by 10^-0.2 at 200/500 and 350/500 of the
budget, as Pythae's reproducibility/vae.py has it. Each is trained by its own trainer, through its own door, then both
are judged by `log_likelihood_bound` with 200 importance samples on the 10,000 test images: Pythae's weights are copied
into our VAE. Its own `get_nll`, which takes one image at a time, is asked of a few, as a check of the estimator.

Measured here on one core, 10,000 test images (standard error of each 0.75, of a difference below 0.1):

                      harness    pythae    harness, pixels standardised
    constant rate     -239.92    -239.84   -239.43
    steps             -241.52    -241.41   -240.67

Standardised pixels, which every backbone gets unless told otherwise, are several times as large: the first layer learns
faster. After 50 epochs that is 0.5 nats for Harness, which is why this comparison gives both the pixels as they are.

What is asserted: the two log-likelihoods are within NATS of each other. Images are the same, so the standard error of
the difference is far below that of either.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.data.columns import InMemory
from harness.data.fields import DataSpec, ImageField
from harness.data.images import to_float
from harness.data.rows import Dataset, Rows
from harness.data.splits import split_dataset
from harness.records import Budget, TrainConfig
from harness.seeding import seed_everything
from harness.trainer import train
from harness_plugins.backbones import mlp
from harness_plugins.datasets import fashion_mnist
from harness_plugins.models import vae

NATS = 0.3
EPOCHS, BATCH, HIDDEN, LATENT, SAMPLES = 50, 100, 400, 40, 200
FACTOR = 10**-0.2
PLACES = (200 / 500, 350 / 500)
FEW = 20  # test images for get_nll
SPEC = DataSpec(inputs=ImageField(channels=1, size=28))

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def data() -> Dataset:
    root = Path(os.environ.get("HARNESS_DATA", "absent"))
    if not (root / "FashionMNIST" / "raw").is_dir():
        pytest.skip("Fashion-MNIST is not here: set HARNESS_DATA to a data root that has it")
    config = fashion_mnist.Config(binarise=True)
    raw = fashion_mnist.load(config, root)
    return split_dataset("fashion-mnist", raw, fashion_mnist.describe(config, root), 0)


def new_vae(spec: DataSpec) -> vae.VAE:
    """Pixels are as they are, as Pythae's encoder gets them."""
    encoder = mlp.build(spec, mlp.Config(hidden=HIDDEN, standardise=False))
    return vae.VAE(encoder, spec, vae.Config(latent_dim=LATENT, decoder="mlp"))


def ours(data: Dataset, schedule: str) -> vae.VAE:
    seed_everything(0, "initialisation")
    method = new_vae(data.spec)
    config = TrainConfig(
        batch_size=BATCH, learning_rate=1e-4, schedule=schedule, warmup=0.0, weight_decay=0.0, clip_norm=0.0
    )
    rows, budget = Rows(inputs=InMemory(data.train.values)), Budget.parse(f"{EPOCHS} epochs")
    result = train(
        method, rows, data.spec, config, budget, seed=0, precision="fp32", progress=lambda done, scalars: None
    )
    assert result.steps == EPOCHS * len(data.train) // BATCH
    return method.eval()


def theirs(images: Tensor, schedule: str, folder: Path) -> Any:
    """Pythae's VAE after its own trainer: uint8 (N,1,28,28)."""
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

        def forward(self, x: Tensor) -> ModelOutput:
            hidden = self.layers(x)
            return ModelOutput(embedding=self.mean(hidden), log_covariance=self.log_variance(hidden))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 784), nn.Sigmoid())

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.layers(z).view(-1, 1, 28, 28))

    torch.manual_seed(123)
    steps = {"milestones": [round(place * EPOCHS) for place in PLACES], "gamma": FACTOR}
    falling = {"scheduler_cls": "MultiStepLR", "scheduler_params": steps} if schedule != "constant" else {}
    trainer = BaseTrainer(
        model=VAE(
            VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT, reconstruction_loss="bce"),
            encoder=Encoder(),
            decoder=Decoder(),
        ),
        train_dataset=BaseDataset(to_float(images), torch.zeros(len(images))),
        training_config=BaseTrainerConfig(
            output_dir=str(folder),
            num_epochs=EPOCHS,
            per_device_train_batch_size=BATCH,
            learning_rate=1e-4,
            no_cuda=True,
            **falling,
        ),
    )
    trainer.train()
    return trainer.model.eval()


def copied(model: Any) -> vae.VAE:
    """Pythae's weights in our VAE."""
    method = new_vae(SPEC)
    encoder, decoder = model.encoder, model.decoder
    heads = encoder.mean, encoder.log_variance
    with torch.no_grad():
        method.posterior.weight.copy_(torch.cat([head.weight for head in heads]))
        method.posterior.bias.copy_(torch.cat([head.bias for head in heads]))
    method.backbone.trunk[1].load_state_dict(encoder.layers[1].state_dict())
    for place in (0, 2):
        method.decoder.layers[place].load_state_dict(decoder.layers[place].state_dict())
    return method.eval()


@torch.no_grad()
def log_likelihoods(method: vae.VAE, images: Tensor) -> Tensor:
    """uint8 (N,1,28,28) -> (N,) nats."""
    torch.manual_seed(7)
    return torch.cat([method.log_likelihood_bound(to_float(part), SAMPLES) for part in images.split(64)])


@pytest.mark.parametrize("name", ["constant", "steps"])
def test_the_likelihood_is_pythaes(data: Dataset, tmp_path: Path, name: str) -> None:
    schedule = f"steps[{PLACES[0]},{PLACES[1]};{FACTOR}]" if name == "steps" else name
    test = data.test.values
    mine = log_likelihoods(ours(data, schedule), test)
    model = theirs(data.train.values, schedule, tmp_path)
    other = log_likelihoods(copied(model), test)
    with torch.no_grad():
        own = model.get_nll(to_float(test[:FEW]), n_samples=SAMPLES)  # log p, whatever it is called
    between, error = mine - other, float((mine - other).std() / len(test) ** 0.5)
    print(
        f"\n{name}: harness {float(mine.mean()):.2f}, pythae {float(other.mean()):.2f} nats per image, "
        f"difference {float(between.mean()):.2f} (standard error over images {error:.2f}); "
        f"pythae's get_nll of {FEW}: {own:.2f}, ours of them {float(other[:FEW].mean()):.2f}"
    )
    assert own == pytest.approx(float(other[:FEW].mean()), abs=1.0)
    assert abs(float(between.mean())) < NATS
