"""Collapse is seen while it happens, with its reason; what is only small, narrow or short-trained is left alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.batches import Batch
from harness.data.rows import Dataset
from harness.data.splits import split_dataset
from harness.errors import TrainingFailed
from harness.judging.collapse import CollapseWatch, Shape, collapse, shape_of
from harness.judging.observing import Encoder, Moments, Observer
from harness.records import Budget, Information, TrainConfig, TrainingResult
from harness.trainer import train
from harness_plugins.datasets import digits

BEFORE = Shape(features=128, variation=0.3, dimension=12.0)


def cloud(n: int = 200, d: int = 32) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0))


def test_a_round_cloud_varies_fully_in_all_its_directions() -> None:
    shape = shape_of(cloud(5000, 8))
    assert shape.variation == pytest.approx(1, abs=0.01)
    assert shape.dimension == pytest.approx(8, abs=0.1)
    assert (shape.features, shape.finite) == (8, True)


def test_variation_is_of_lengths_and_of_directions_whichever_is_smaller() -> None:
    lengths = 1 + torch.rand(200, 1, generator=torch.Generator().manual_seed(0))
    ray = lengths * torch.ones(1, 32)  # all in one direction, of all lengths
    assert shape_of(ray).variation == pytest.approx(0, abs=1e-9)
    assert shape_of(ray[:, :1]).variation > 0.1  # a code of one number has no direction
    assert shape_of(cloud() + 100).variation == pytest.approx(0.01, rel=0.05)


def test_dimensions_that_differ_in_scale_alone_are_all_counted() -> None:
    scaled = cloud() * torch.logspace(0, -6, 32)
    assert shape_of(scaled).dimension > 25


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        (torch.full((200, 32), torch.nan), "values that are not finite"),
        (torch.ones(200, 32), r"nearly one \(they vary by 0 of their length, 0.3 before training\)"),
        (torch.zeros(200, 32), "nearly one"),
        (cloud() + 100, "nearly one"),
        (
            cloud(200, 1) * torch.ones(32) + 0.05 * cloud(),
            r"one direction \(effective dimension 1.0 of 32, 12.0 before",
        ),
    ],
)
def test_a_collapse_has_its_reason(features: Tensor, reason: str) -> None:
    assert_reason(collapse(shape_of(features), BEFORE, may_be_one=False), reason)


def assert_reason(found: str, reason: str) -> None:
    assert re.search(reason, found), found


def test_what_a_codes_size_or_the_task_explains_is_no_collapse() -> None:
    line = cloud(200, 1) * torch.ones(32) + 0.05 * cloud()
    assert collapse(shape_of(line), BEFORE, may_be_one=True) == ""
    assert collapse(shape_of(line), shape_of(line), may_be_one=False) == ""  # it was no wider before training
    one = shape_of(cloud(200, 1))
    assert collapse(one, one, may_be_one=False) == ""
    inactive = cloud() * torch.tensor([1.0] + [1e-3] * 31)  # one latent of a VAE in use, the others at the prior
    assert collapse(shape_of(inactive), BEFORE, may_be_one=False) == ""
    sigmoids = 0.5 + 0.004 * cloud()  # as untrained ones are
    assert collapse(shape_of(sigmoids), shape_of(sigmoids), may_be_one=False) == ""


def test_a_narrow_representation_is_a_collapse_sooner_where_it_shrank_too() -> None:
    for variation, found in ((0.2, False), (0.1, True)):
        now = Shape(features=128, variation=variation, dimension=2.0)
        assert bool(collapse(now, BEFORE, may_be_one=False)) is found


def test_a_representation_that_widens_again_is_left_alone() -> None:
    """Autoencoders learn the brightness first."""
    now = Shape(features=128, variation=0.3, dimension=1.3)
    for last, found in ((1.1, False), (1.3, True), (1.9, True)):
        earlier = Shape(features=128, variation=0.3, dimension=last)
        assert bool(collapse(now, BEFORE, may_be_one=False, last=earlier)) is found


# While methods train. -------------------------------------------------------------------------------------------------


class Trained(nn.Module):
    """A small network with batch normalisation, trained in one way or another."""

    def __init__(self, way: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.way = way
        last = [nn.BatchNorm1d(32), nn.ReLU()] if way == "siamese" else []
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 32), *last
        )
        self.head = nn.Linear(32, 64, bias=way != "teacher")

    def loss(self, batch: Batch) -> Tensor:
        codes, others = (self.net(batch.inputs + 0.2 * torch.randn_like(batch.inputs)) for _ in range(2))
        if self.way == "siamese":  # two views, nothing that keeps different images apart
            return (codes - others).square().sum(1).mean()
        if self.way == "constant":
            return (codes - 1).square().sum(1).mean()
        if self.way == "teacher":  # one that says the same of every image
            return F.cross_entropy(self.head(codes) / 0.1, torch.zeros(len(codes), dtype=torch.int64))
        if self.way == "supervised":
            return F.cross_entropy(self.head(codes), batch.labels % 2)
        return (self.head(codes) - batch.inputs.flatten(1)).square().sum(1).mean()

    def encode(self, images: Tensor) -> Tensor:
        return self.net(images)


@pytest.fixture(scope="module")
def data() -> Dataset:
    raw = digits.load(digits.Config(), Path())
    return split_dataset("digits", raw, digits.describe(digits.Config(), Path()), 0)


def watched(method: nn.Module, data: Dataset, budget: str = "400 steps") -> TrainingResult:
    encoder = Encoder(method=method, data=data.spec, device="cpu", precision="fp32")
    uses: tuple[Information, ...] = ("labels",) if getattr(method, "way", "") == "supervised" else ()
    watch = CollapseWatch(encoder, data, uses, seed=0)
    return train(
        method,
        data.seen("train", uses),
        data.spec,
        TrainConfig(batch_size=32, learning_rate=0.01),
        Budget.parse(budget),
        seed=0,
        precision="fp32",
        progress=lambda done, scalars: None,
        observe=Observer(method, "cpu", [(Moments(10), watch.look)]),
    )


@pytest.fixture
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.judging.collapse.EARLIEST", 100)


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("siamese", r"of 12800 images: all representations (lie along one direction|are nearly one) \("),
        (
            "teacher",
            r"of 12800 images: all representations lie along one direction \(effective dimension 2\.\d of 32, ",
        ),
        (
            "constant",
            r"of 12800 images: all representations are nearly one \(they vary by 0\.0\d+ of their length, 0\.4",
        ),
    ],
)
@pytest.mark.usefixtures("early")
def test_a_training_that_collapses_ends_early_with_its_reason(way: str, reason: str, data: Dataset) -> None:
    with pytest.raises(TrainingFailed, match=reason) as caught:
        watched(Trained(way), data)
    assert caught.value.so_far["steps"] < 400
    assert str(caught.value).startswith(f"collapsed after {caught.value.so_far['examples']} of ")


@pytest.mark.parametrize("way", ["autoencoder", "supervised"])
@pytest.mark.usefixtures("early")
def test_a_training_that_learns_goes_on(way: str, data: Dataset) -> None:
    assert watched(Trained(way), data, "200 steps").status == "ok"


class Sudden(Trained):
    """Its representation collapses for one look, or from a step on."""

    def __init__(self, collapsed) -> None:
        super().__init__("autoencoder")
        self.collapsed = collapsed
        self.looks = 0

    def encode(self, images: Tensor) -> Tensor:
        self.looks += 1
        codes = self.net(images)
        return torch.ones_like(codes) if self.collapsed(self.looks) else codes


def test_one_look_is_forgiven_and_a_short_training_is_not_looked_at(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watched(Sudden(lambda look: look > 1), data, "20 steps").status == "ok"
    monkeypatch.setattr("harness.judging.collapse.EARLIEST", 4)
    assert watched(Sudden(lambda look: look == 3), data, "20 steps").status == "ok"
    with pytest.raises(TrainingFailed, match="collapsed after 192 of 640 images"):
        watched(Sudden(lambda look: look > 1), data, "20 steps")  # seen after 4 and 6 steps


def test_at_the_end_one_look_is_enough(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.judging.collapse.EARLIEST", 20)
    with pytest.raises(TrainingFailed, match="collapsed after 640 of 640 images: all representations are nearly one"):
        watched(Sudden(lambda look: look > 1), data, "20 steps")


def test_a_budget_in_seconds_is_told_in_seconds(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.judging.collapse.EARLIEST", 1)
    with pytest.raises(TrainingFailed, match=r"collapsed after 0 of 0\.3 seconds: all representations are nearly one"):
        watched(Sudden(lambda look: look > 1), data, "0.3 s")


def test_what_is_no_vector_is_left_to_who_judges_it(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.judging.collapse.EARLIEST", 1)

    class Wrong(Trained):
        def encode(self, images: Tensor) -> Tensor:
            return images if self.way == "autoencoder" else images.nothing_like_this

    for way in ("autoencoder", "constant"):
        assert watched(Wrong(way), data, "4 steps").status == "ok"


def test_a_watch_goes_on_with_what_it_has_seen() -> None:
    """Through JSON, as in the state of a training; before the first look nothing is known."""
    for before, last in (
        (None, None),
        (Shape(features=8, variation=0.3, dimension=2.5), Shape(features=8, finite=False)),
    ):
        watch, other = object.__new__(CollapseWatch), object.__new__(CollapseWatch)
        watch.before, watch.last, watch.seen = before, last, 1
        other.restore(json.loads(json.dumps(watch.state())))
        assert (other.before, other.last, other.seen) == (before, last, 1)


def test_moments_go_on_where_they_were() -> None:
    moments, others, more = Moments(4), Moments(4), Moments(5)
    assert moments.due(0.5)
    others.restore(moments.state())
    more.restore(moments.state())
    assert [others.due(done) for done in (0.5, 0.74, 0.75)] == [False, False, True]
    assert more.due(0.5), "other moments: they begin now"
