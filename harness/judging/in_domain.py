"""The in-domain feature space: that of a small classifier of the target's own classes.

It is trained once per dataset from all labels outside the test split, and kept on the disk, and which cell trains it
makes no difference (harness.judging.kept_networks). Images without labels have `label_free` in its place. Distances are
comparable within one extractor only, so each number names it by a hash of its weights.

N images, C channels, H=W pixels, F features, K classes; c maps of h=w places in one of the convolutions.
"""

from __future__ import annotations

import hashlib
from math import ceil
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.columns import Column, batches_of, blocks, concatenated, example_shape
from harness.data.images import column_statistics, to_float
from harness.data.rows import Rows
from harness.errors import NotApplicable
from harness.judging.extractor import INFERENCE_BATCH, Extractor
from harness.judging.kept_networks import kept_weights, one_thread, ordered_with_keys, weights_hash
from harness.judging.subject import Subject
from harness.metrics.classification import accuracy

RECIPE = 1  # raise it whenever the network or its training changes: kept classifiers are then trained anew
FEATURES = 64  # F: with more, a Fréchet distance at a few thousand images is mostly bias
BATCH = 128  # images per training step
EPOCHS = 14
FEWEST, MOST = 20_000, 150_000  # images seen in training, whatever the dataset's size
LEARNING_RATE = 4e-3
SCALED_BY = 10_000  # training images that set the scale of the features, the first in the extractor's own order
ACCURACY = "test accuracy"  # beside the weights, in the kept file


def in_domain_extractor(subject: Subject) -> Extractor:
    """The classifier of the subject's target: from the disk, or trained now if this is the first time.

    Raises NotApplicable where the target has no labels. Cells that ask for it at once train it once: the others wait.
    """
    target = subject.target
    if target.train.labels is None or target.validation.labels is None or target.test.labels is None:
        raise NotApplicable(
            f"{target.name} has no labels to train a feature extractor with: "
            "take a target with labels, or the Inception network (fid[extractor=inception])"
        )
    labelled = Rows(
        inputs=concatenated([target.train.inputs, target.validation.inputs]),
        labels=torch.cat([target.train.labels, target.validation.labels]),
    )
    folder = subject.cache / "extractors"
    return kept_extractor(labelled, target.test, len(target.spec.classes), folder, subject.device)


def kept_extractor(labelled: Rows, test: Rows, classes: int, folder: Path, device: torch.device) -> Extractor:
    """`in_domain_extractor` for splits with labels: load `folder/<key>.safetensors`, or train and write it."""
    (ordered, keys), (tested, test_keys) = ordered_with_keys(labelled), ordered_with_keys(test)

    def make() -> dict[str, Tensor]:
        classifier = train_classifier(ordered, classes)
        with one_thread():
            reached = torch.tensor(accuracy_of(classifier, tested), dtype=torch.float64)
        return {**classifier.state_dict(), ACCURACY: reached}

    weights = kept_weights(folder, _content_key((ordered, keys), (tested, test_keys), classes), make)
    reached = float(weights.pop(ACCURACY))
    classifier = Classifier(example_shape(labelled.inputs), classes)
    classifier.load_state_dict(weights)
    classifier.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    return Extractor(
        name="in-domain classifier",
        fingerprint=weights_hash(weights),
        dim=FEATURES,
        embed=lambda images: classifier.features(to_float(images)),
        device=device,
        accuracy=reached,
        classify=lambda images: classifier(to_float(images)),
        convolve=lambda images: classifier.convolutions(to_float(images)),
    )


class Classifier(nn.Module):
    """Strided 3x3 convolutions down to at most 10x10 pixels, a 4x4 maximum pool, F features and a linear head."""

    mean: Tensor
    std: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        channels, size = shape[0], shape[-1]
        stride = 1 if size <= 16 else 2 if size <= 32 else 4
        size, width = ceil(size / stride), 24
        layers = [_convolution(channels, width, stride)]  # (N,24,H/stride,W/stride)
        while size > 10:
            wider = min(2 * width, 64)
            layers.append(_convolution(width, wider, 2))
            size, width = ceil(size / 2), wider
        layers.append(_convolution(width, 64, 1))
        self.trunk = nn.Sequential(*layers)  # (N,C,H,W) -> (N,64,h,w), h <= 10
        self.pool = nn.AdaptiveMaxPool2d(4)  # (N,64,4,4)
        self.penultimate = nn.Linear(64 * 4 * 4, FEATURES)
        self.head = nn.Linear(FEATURES, classes)
        self.register_buffer("mean", torch.full((1, channels, 1, 1), 0.5))
        self.register_buffer("std", torch.full((1, channels, 1, 1), 0.5))
        self.register_buffer("centre", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(()))

    def standardised(self, images: Tensor) -> Tensor:
        """(N,C,H,W) in [0,1] -> zero mean and unit deviation per channel, by the images that it learned from."""
        return ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)  # (N,C,H,W)

    def hidden(self, images: Tensor) -> Tensor:
        """(N,C,H,W) in [0,1] -> (N,F), before the ReLU: nearer to the Gaussian that a Fréchet distance assumes."""
        return self.penultimate(self.pool(self.trunk(self.standardised(images))).flatten(1))

    def convolutions(self, images: Tensor) -> list[Tensor]:
        """(N,C,H,W) in [0,1] -> the maps (N,c,h,w) after each convolution's ReLU, first to last."""
        maps = [self.standardised(images)]
        for layer in self.trunk:
            maps.append(layer(maps[-1]))
        return maps[1:]

    def features(self, images: Tensor) -> Tensor:
        """(N,C,H,W) in [0,1] -> (N,F), shifted and scaled by one factor: mean 0 and total variance F in training."""
        return (self.hidden(images) - self.centre) / self.scale

    def forward(self, images: Tensor) -> Tensor:
        return self.head(F.relu(self.hidden(images)))  # (N,K)

    def set_scale(self, images: Column) -> None:
        """Let `features` of these images have mean 0 and total variance F."""
        with torch.no_grad():
            hidden = torch.cat([self.hidden(to_float(part)) for part in blocks(images, INFERENCE_BATCH)]).double()
        self.centre.copy_(hidden.mean(0))
        self.scale.copy_(hidden.var(0).mean().sqrt().clamp_min(1e-6))


def _convolution(channels: int, width: int, stride: int) -> nn.Sequential:
    kernel = 5 if stride == 4 else 3
    layer = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(width), nn.ReLU())


def train_classifier(split: Rows, classes: int, *, seed: int = 0) -> Classifier:
    """A classifier of `split`, trained by AdamW with one learning-rate cycle: the same weights whoever calls."""
    assert split.labels is not None
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = Classifier(example_shape(split.inputs), classes).to(memory_format=torch.channels_last)
        for buffer, values in zip((classifier.mean, classifier.std), column_statistics(split.inputs), strict=True):
            buffer.copy_(torch.tensor(values).view_as(buffer))
        seen = min(max(EPOCHS * len(split), FEWEST), MOST)
        order = torch.cat([torch.randperm(len(split)) for _ in range(ceil(seen / len(split)))])[:seen]
        steps = order.split(BATCH)[: max(1, seen // BATCH)]
        optimiser = torch.optim.AdamW(classifier.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=len(steps))
        for index, images in zip(steps, batches_of(split.inputs, steps), strict=True):
            loss = F.cross_entropy(classifier(to_float(images)), split.labels[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        classifier.eval().requires_grad_(False).set_scale(split.rows(torch.arange(min(SCALED_BY, len(split)))).inputs)
    return classifier


def accuracy_of(classifier: Classifier, split: Rows) -> float:
    """The fraction of a labelled split that is classified rightly."""
    assert split.labels is not None
    with torch.no_grad():
        answers = [classifier(to_float(part)).argmax(1) for part in blocks(split.inputs, INFERENCE_BATCH)]
    return accuracy(torch.cat(answers), split.labels)


def _content_key(labelled: tuple[Rows, Tensor], test: tuple[Rows, Tensor], classes: int) -> str:
    """16 hexadecimal digits for everything that the kept file depends on."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(f"{RECIPE} {classes} {torch.__version__}".encode())
    for split, keys in (labelled, test):
        assert split.labels is not None
        digest.update(str((len(split), *example_shape(split.inputs))).encode())
        digest.update(keys.numpy().tobytes() + split.labels.numpy().tobytes())
    return digest.hexdigest()
