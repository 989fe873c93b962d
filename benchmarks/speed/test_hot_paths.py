"""What a bench spends its time on, piece by piece, on digits: for comparing one state of the code with another.

    python -m pytest benchmarks/speed/test_hot_paths.py --benchmark-only --benchmark-json=mine.json
    pytest-benchmark compare main.json mine.json --group-by=fullname

Two files made on one machine say where time went; whether a difference is more than noise they do not say: that is the
gate's work (docs/gate.md). One thread, as a cell has; rounds are bounded, all of it takes about half a minute.

B images in a batch, N images in a split, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from example_run import example_results, write_run
from example_subject import digits_dataset, example_subject
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn

from harness.allocation import keep_freed_memory
from harness.building import in_channels_last
from harness.data.batches import Batches, batch_of
from harness.data.rows import Dataset
from harness.expansion import expand
from harness.judging.subject import Subject
from harness.metrics.feature_distances import debiased_frechet_distance, frechet_distance
from harness.nn.tiles import cut_tiles, standardise_tiles
from harness.nn.views import two_views
from harness.records import Budget, TrainConfig
from harness.registry import METHOD_KINDS, Registry
from harness.report import build
from harness.store import RunFolder
from harness.suite import make_request
from harness.trainer import train
from harness_plugins.backbones import convnet
from harness_plugins.evaluations import knn, linear_probe
from harness_plugins.models import vae
from harness_plugins.pretext import jigsaw, simclr

STEPS, BATCH = 20, 128
SPLIT = "train"  # the largest
METHODS = {"vae": (vae.VAE, vae.Config), "simclr": (simclr.SimClr, simclr.Config)}
SAMPLES, FEATURES = 2000, 64  # of a Fréchet distance
SWEEP = {"plugins": "vae[beta=0.5|1|2|4],simclr,jigsaw", "seeds": 10, "datasets": "digits,shapes"}
CELLS = (4 + 2 + 4) * 10 * 2  # with four references


@pytest.fixture(autouse=True)
def as_in_a_cell() -> Iterator[None]:
    """Threads and freed memory as a cell has them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    keep_freed_memory()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return digits_dataset()


def built(make: Callable[..., nn.Module], config: type, data: Dataset) -> nn.Module:
    """A method on the standard backbone, not trained."""
    torch.manual_seed(0)
    return in_channels_last(make(convnet.build(data.spec, convnet.Config()), data.spec, config()))


@pytest.fixture
def images(digits: Dataset) -> Tensor:
    """(B,C,H,W), as networks see them."""
    return batch_of(digits.train.rows(torch.arange(BATCH)), digits.spec).inputs


# Training. ------------------------------------------------------------------------------------------------------------


@pytest.mark.benchmark(group="training")
@pytest.mark.parametrize("name", METHODS)
def test_train(benchmark: BenchmarkFixture, digits: Dataset, name: str) -> None:
    """The trainer for 20 steps: batches, loss, backward, clipping, optimiser, curve."""
    config, budget = TrainConfig(batch_size=BATCH), Budget.parse(f"{STEPS} steps")
    quiet = {"seed": 0, "precision": "fp32", "progress": lambda done, scalars: None}

    def fresh() -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (built(*METHODS[name], digits), digits.pretraining(()), digits.spec, config, budget), quiet

    result = benchmark.pedantic(train, setup=fresh, rounds=8, warmup_rounds=1)
    benchmark.extra_info["steps"] = STEPS
    assert (result.steps, result.examples) == (STEPS, STEPS * BATCH)


@pytest.mark.benchmark(group="training")
def test_collate_an_epoch(benchmark: BenchmarkFixture, digits: Dataset) -> None:
    """All batches of an epoch, from the uint8 of a split to what a loss gets."""
    batches = Batches(digits.train, digits.spec, BATCH, torch.Generator().manual_seed(0))
    stream = iter(batches)
    taken = benchmark.pedantic(
        lambda: [next(stream) for _ in range(len(batches))], rounds=50, iterations=5, warmup_rounds=1
    )
    assert [batch.inputs.shape for batch in taken] == [(BATCH, 1, 8, 8)] * len(batches)


@pytest.mark.benchmark(group="training")
def test_two_views(benchmark: BenchmarkFixture, digits: Dataset, images: Tensor) -> None:
    """Crops, mirrors and contrast of a batch, twice: (B,C,H,W) -> (2B,C,H,W)."""
    method: Any = built(*METHODS["simclr"], digits)
    views = benchmark.pedantic(two_views, args=(method.view, images), rounds=50, iterations=5, warmup_rounds=1)
    assert views.shape == (2 * BATCH, 1, 8, 8)


@pytest.mark.benchmark(group="training")
def test_jigsaw_puzzles(benchmark: BenchmarkFixture) -> None:
    """Tiles of four puzzles for each of B images of 28x28, standardised one by one."""
    puzzled = torch.rand(4 * BATCH, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    tiles = benchmark.pedantic(lambda: standardise_tiles(cut_tiles(puzzled, 3, 9, 6)), rounds=50, warmup_rounds=2)
    assert tiles.shape == (4 * BATCH, 9, 1, 6, 6)


@pytest.mark.benchmark(group="training")
def test_jigsaw_orders(benchmark: BenchmarkFixture) -> None:
    """A hundred orders of nine tiles that are far apart, out of 362,880."""
    orders = benchmark.pedantic(jigsaw.permutation_set, args=(9, 100), rounds=3)
    assert orders.shape == (100, 9)


# Judging. -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def subject(digits: Dataset, tmp_path: Path) -> Subject:
    return example_subject(built(*METHODS["simclr"], digits), digits, tmp_path)


@pytest.mark.benchmark(group="judging")
@pytest.mark.parametrize("name", METHODS)
def test_encode_a_batch(benchmark: BenchmarkFixture, digits: Dataset, images: Tensor, name: str) -> None:
    """(B,C,H,W) -> (B,D), frozen."""
    method: Any = built(*METHODS[name], digits).eval().requires_grad_(False)
    codes = benchmark.pedantic(method.encode, args=(images,), rounds=50, iterations=2, warmup_rounds=1)
    assert len(codes) == BATCH


@pytest.mark.benchmark(group="judging")
def test_features_of_a_split(benchmark: BenchmarkFixture, digits: Dataset, tmp_path: Path) -> None:
    """uint8 (N,C,H,W) -> (N,D), with the checks of a representation."""
    method = built(*METHODS["simclr"], digits)

    def fresh() -> tuple[tuple[Subject, str], dict[str, Any]]:
        return (example_subject(method, digits, tmp_path), SPLIT), {}

    features = benchmark.pedantic(Subject.features, setup=fresh, rounds=10, warmup_rounds=1)
    assert len(features) == len(digits.train)


@pytest.mark.benchmark(group="judging")
@pytest.mark.parametrize("judge", [knn, linear_probe], ids=["knn", "linear-probe"])
def test_judge(benchmark: BenchmarkFixture, subject: Subject, judge: Any) -> None:
    """An evaluation of features that are there already: fit, choose on validation, predict for test."""
    for split in ("train", "validation", "test"):
        subject.features(split)
    scores = benchmark.pedantic(judge.run, args=(subject, judge.Config()), rounds=5, warmup_rounds=1)
    assert scores["accuracy"].value > 0.5


@pytest.mark.benchmark(group="judging")
@pytest.mark.parametrize("distance", [frechet_distance, debiased_frechet_distance], ids=lambda f: f.__name__)
def test_distance(benchmark: BenchmarkFixture, distance: Callable[[Tensor, Tensor], float]) -> None:
    """Means, covariances and their distance, for two sets of features."""
    source = torch.Generator().manual_seed(0)
    sets = (torch.randn(SAMPLES, FEATURES, generator=source), torch.randn(SAMPLES, FEATURES, generator=source))
    value = benchmark.pedantic(distance, args=sets, rounds=20, warmup_rounds=1)
    assert abs(value) < 10


# Around it. -----------------------------------------------------------------------------------------------------------


@pytest.mark.benchmark(group="around")
def test_find_plugins(benchmark: BenchmarkFixture) -> None:
    """All entry points of this environment, without an import of any."""
    registry = benchmark.pedantic(Registry, rounds=10, warmup_rounds=1)
    assert len(registry.infos()) > 50


@pytest.mark.benchmark(group="around")
def test_load_a_plugin(benchmark: BenchmarkFixture) -> None:
    """Found, validated and registered; its module is imported before."""

    def fresh() -> tuple[tuple[Registry], dict[str, Any]]:
        return (Registry(),), {}

    loaded = benchmark.pedantic(
        lambda registry: registry.load("simclr", METHOD_KINDS), setup=fresh, rounds=20, warmup_rounds=1
    )
    assert loaded.spec.name == "simclr"


@pytest.mark.benchmark(group="around")
def test_expand_a_sweep(benchmark: BenchmarkFixture) -> None:
    """200 cells from text: names found, parameters typed, a sweep multiplied."""
    registry = Registry()
    cells = benchmark.pedantic(lambda: expand(make_request(SWEEP), registry), rounds=20, warmup_rounds=1)
    assert len({cell.title for cell in cells}) == len(cells) == CELLS


@pytest.mark.benchmark(group="around")
def test_report(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """The reports of a run of seven methods, three seeds and two targets, from its folder."""
    run = write_run(tmp_path / "run", example_results(tmp_path / "run"))
    written = benchmark.pedantic(build, args=([RunFolder(run)], run), rounds=3, warmup_rounds=1)
    assert all(file.is_file() for file in written)
