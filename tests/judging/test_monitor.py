"""The online monitor: against scikit-learn's vote, on validation, and nothing where there are no labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from test_observing import Restless, dataset, observed
from torch import Tensor, nn

from harness.clock import Clock
from harness.data.columns import InMemory
from harness.data.rows import Rows
from harness.judging.monitor import NEIGHBOURS, TEMPERATURE, Monitor
from harness.judging.observing import Encoder
from harness.metrics.features import normalised
from harness.records import Budget


class Flat(nn.Module):
    """Pixels as features."""

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def monitor_of(data, news=lambda done, scalars: None) -> Monitor:
    return Monitor(Encoder(method=Flat(), data=data.spec, device="cpu", precision="fp32"), data, seed=0, news=news)


def test_it_is_the_weighted_vote_of_scikit_learn_on_the_validation_split() -> None:
    data = dataset()
    bank, queries = (normalised(rows.values.flatten(1) / 255) for rows in (data.train, data.validation))

    def weights(distances: np.ndarray) -> np.ndarray:
        return np.exp((1 - distances) / TEMPERATURE)

    theirs = KNeighborsClassifier(NEIGHBOURS, weights=weights, metric="cosine").fit(bank, data.train.labels)
    assert monitor_of(data).accuracy() == pytest.approx(theirs.score(queries, data.validation.labels))


def test_it_never_reads_the_test_split() -> None:
    data = dataset()
    unreadable = Rows(inputs=InMemory(torch.zeros(10, 7, dtype=torch.uint8)), labels=torch.full((10,), 99))
    assert monitor_of(replace(data, test=unreadable)).accuracy() == monitor_of(data).accuracy()


def test_a_bank_smaller_than_k_votes_with_all_of_it() -> None:
    data = dataset()
    few = replace(data, train=data.train.rows(torch.arange(3)))
    majority = int(few.train.labels.mode().values)
    assert 0 <= monitor_of(few).accuracy() <= 1
    assert majority in (0, 1)


def test_large_splits_are_sliced_and_every_class_keeps_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.judging.monitor.BANK", 50)
    monkeypatch.setattr("harness.judging.monitor.QUERIES", 30)
    data = dataset()
    monitor = monitor_of(data)
    assert (len(monitor.bank[0]), len(monitor.queries[0])) == (50, 30)
    assert float(monitor.bank[1].float().mean()) == pytest.approx(float(data.train.labels.float().mean()), abs=0.02)


def test_news_is_the_fraction_done_and_the_number() -> None:
    told = []
    monitor = monitor_of(dataset(), news=lambda done, scalars: told.append((done, scalars)))
    clock = Clock(Budget.parse("4 steps"), 10, 10)
    clock.steps = 1
    monitor.look(clock)
    assert told == [(0.25, {"kNN accuracy": monitor.points[0].scalars["kNN accuracy"]})]
    assert monitor.points[0].examples == 10


def test_without_labels_there_is_a_note_and_no_point() -> None:
    result, monitor = observed(Restless(), dataset(labels=False), "4 steps", 2)
    assert result.status == "ok"
    assert monitor.points == []
    assert monitor.note == "not monitored: noise has no labels"


def test_what_cannot_be_encoded_is_noted_and_trained_all_the_same() -> None:
    class Wrong(Restless):
        def encode(self, images: Tensor) -> Tensor:
            return images

    result, monitor = observed(Wrong(), dataset(), "4 steps", 2)
    assert (result.status, monitor.points) == ("ok", [])
    assert monitor.note.startswith("not monitored: encode() returned (100, 1, 4, 4), expected (100, D)")
