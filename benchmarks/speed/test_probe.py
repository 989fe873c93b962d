"""The linear probe beside scikit-learn's LogisticRegressionCV: the same features, grid and split, in one process.

    HARNESS_DATA=FOLDER python -m pytest benchmarks/speed/test_probe.py -s

Features are 128 random convolutional ones of Fashion-MNIST, standardised beforehand for both. scikit-learn gets our
validation split as its only fold and float64 (float32 was slower here), starts each fit from the one before, stops at
its default tolerance and 100 iterations, and does no second fit to training and validation images (`refit=False`),
so that both do the same: ten fits to the same images, a choice, and predictions for the test images.
"""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pytest_benchmark.fixture import BenchmarkFixture
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import PredefinedSplit
from threadpoolctl import threadpool_limits
from torch import Tensor

from harness.data.images import to_float
from harness.judging.probing import ProbeConfig, fitted_probe
from harness.metrics.features import standardised

LEAST_RATIO = 10.0
NOISE = 0.002  # fraction of the 10,000 test images; one standard error of an accuracy of 0.8 is 0.004

Part = tuple[Tensor, Tensor]  # features (N,D), labels (N,)


def random_features(images: Tensor) -> Tensor:
    """uint8 (N,28,28) -> (N,128): rectified responses to random 9x9 filters, averaged over the image."""
    filters = torch.randn(128, 1, 9, 9, generator=torch.Generator().manual_seed(0)) / 9
    parts = [F.relu(F.conv2d(to_float(part[:, None]), filters, stride=4)).mean((2, 3)) for part in images.split(1000)]
    return torch.cat(parts)


@pytest.fixture(scope="module")
def fashion() -> tuple[Part, Part]:
    """All training images in a fixed random order, and the test images."""
    from torchvision.datasets import FashionMNIST

    root = Path(os.environ.get("HARNESS_DATA", "absent"))
    if not (root / "FashionMNIST" / "raw").is_dir():
        pytest.skip("Fashion-MNIST is not here: set HARNESS_DATA to a data root that has it")
    train, test = (FashionMNIST(str(root), train=part) for part in (True, False))
    order = torch.randperm(len(train.data), generator=torch.Generator().manual_seed(0))
    return (random_features(train.data[order]), train.targets[order]), (random_features(test.data), test.targets)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("rows", "held"), [(20_000, 2_000), (48_000, 6_000)])
def test_probe_is_ten_times_as_fast(
    benchmark: BenchmarkFixture, fashion: tuple[Part, Part], rows: int, held: int, threads: int
) -> None:
    (features, labels), (test_features, test_labels) = fashion
    scaled = standardised(features[:rows], features[rows : rows + held], test_features)
    parts = tuple(zip(scaled, (labels[:rows], labels[rows : rows + held], test_labels), strict=True))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    with threadpool_limits(threads):
        ours, our_seconds = harness_probe(*parts)
        theirs, their_seconds = scikit_learn_probe(*parts)
        benchmark.pedantic(harness_probe, args=parts, rounds=2)
    torch.set_num_threads(before)
    ratio = their_seconds / our_seconds
    benchmark.extra_info |= {"ratio": ratio, "accuracy": ours, "scikit-learn accuracy": theirs}
    print(
        f"\n{rows} x {features.shape[1]}, 10 classes, {ProbeConfig().penalties} penalties, {threads} thread(s): "
        f"harness {our_seconds:.2f} s accuracy {ours:.4f}; scikit-learn {their_seconds:.2f} s accuracy {theirs:.4f}; "
        f"{ratio:.1f} times as fast"
    )
    assert ratio >= LEAST_RATIO
    assert ours >= theirs - NOISE


def harness_probe(train: Part, validation: Part, test: Part) -> tuple[float, float]:
    """(test accuracy, seconds)."""
    start = time.perf_counter()
    probe = fitted_probe(train, validation, 10, ProbeConfig())
    shares = probe.probabilities(test[0])
    seconds = time.perf_counter() - start
    assert probe.converged
    return float((shares.argmax(1) == test[1]).double().mean()), seconds


def scikit_learn_probe(train: Part, validation: Part, test: Part) -> tuple[float, float]:
    """(test accuracy, seconds)."""
    features = torch.cat([train[0], validation[0]]).double().numpy()
    labels = torch.cat([train[1], validation[1]]).numpy()
    fold = np.r_[np.full(len(train[1]), -1), np.zeros(len(validation[1]), int)]
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", FutureWarning)
        model = LogisticRegressionCV(Cs=ProbeConfig().grid, cv=PredefinedSplit(fold), refit=False)
        model.fit(features, labels)
        predicted = model.predict(test[0].double().numpy())
    return float((predicted == test[1].numpy()).mean()), time.perf_counter() - start
