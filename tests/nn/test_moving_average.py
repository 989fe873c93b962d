"""The moving average against its formula, and its life as a part of a module that is copied, saved and trained."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import nn

from harness.nn.moving_average import ExponentialMovingAverage


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_an_update_moves_every_weight_by_the_share_that_the_formula_says() -> None:
    trained = network()
    averaged = ExponentialMovingAverage(trained, decay=0.5)
    expected = trained[0].weight.detach().clone()
    for n in (1, 2, 20):
        averaged.updates.fill_(n - 1)
        nn.init.normal_(trained[0].weight)
        averaged.update(trained)
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * trained[0].weight.detach()
        torch.testing.assert_close(averaged.network[0].weight, expected)
    assert int(averaged.updates) == 20


def test_statistics_of_a_batch_norm_are_averaged_and_its_counter_is_copied() -> None:
    trained = network()
    averaged = ExponentialMovingAverage(trained, decay=0.9)
    trained(torch.randn(8, 3) + 5)
    averaged.update(trained)
    share = 1 - 2 / 11
    torch.testing.assert_close(averaged.network[1].running_mean, share * trained[1].running_mean)
    assert averaged.network[1].num_batches_tracked == trained[1].num_batches_tracked == 1


def test_without_decay_it_is_the_network_itself() -> None:
    trained = network()
    averaged = ExponentialMovingAverage(network(1), decay=0.0)
    averaged.update(trained)
    inputs = torch.randn(5, 3)
    torch.testing.assert_close(averaged.network(inputs), trained.eval()(inputs))


def test_it_cannot_be_trained_and_stays_in_eval_mode() -> None:
    owner = nn.ModuleDict({"averaged": ExponentialMovingAverage(network(), decay=0.9)})
    assert not list(owner.requires_grad_(True).parameters())
    assert not owner.train()["averaged"].network[1].training
    before = owner["averaged"].network[1].running_mean.clone()
    owner["averaged"].network(torch.randn(6, 3) + 3)
    assert torch.equal(owner["averaged"].network[1].running_mean, before)


def test_it_does_not_follow_the_weights_on_its_own() -> None:
    trained = network()
    averaged = ExponentialMovingAverage(trained, decay=0.9)
    nn.init.zeros_(trained[0].weight)
    assert averaged.network[0].weight.abs().sum() > 0
    assert isinstance(trained[0].weight, nn.Parameter)  # the original is as it was


@pytest.mark.parametrize("way", ["copied", "saved"])
def test_it_survives_being(way: str, tmp_path: Path) -> None:
    trained = network()
    averaged = ExponentialMovingAverage(trained, decay=0.9)
    nn.init.normal_(trained[0].weight)
    averaged.update(trained)
    if way == "copied":
        other = copy.deepcopy(averaged)
    else:
        other = ExponentialMovingAverage(network(1), decay=0.9)
        save_model(averaged, str(tmp_path / "average.safetensors"))
        load_model(other, str(tmp_path / "average.safetensors"))
    inputs = torch.randn(5, 3)
    assert torch.equal(other.network(inputs), averaged.network(inputs))
    other.update(trained)
    assert (int(other.updates), int(averaged.updates)) == (2, 1)
    assert not torch.equal(other.network(inputs), averaged.network(inputs))


def test_with_batch_statistics_it_normalises_as_the_network_in_training_does() -> None:
    trained, inputs = network(), torch.randn(16, 3) * 2 + 5
    averaged = ExponentialMovingAverage(trained, decay=0.9, statistics="batch")
    owner = nn.ModuleDict({"averaged": averaged}).train()
    before = {name: value.clone() for name, value in averaged.state_dict().items()}
    torch.testing.assert_close(owner["averaged"].network(inputs), copy.deepcopy(trained).train()(inputs))
    assert all(torch.equal(value, before[name]) for name, value in averaged.state_dict().items())
    running = ExponentialMovingAverage(trained, decay=0.9)
    assert not torch.allclose(running.network(inputs), averaged.network(inputs))


def test_with_batch_statistics_it_is_judged_by_the_running_ones() -> None:
    trained = network()
    averaged = ExponentialMovingAverage(trained, decay=0.0, statistics="batch", warm_up=False)
    trained(torch.randn(8, 3) + 5)
    averaged.update(trained)
    averaged.eval()
    inputs = torch.randn(6, 3)
    torch.testing.assert_close(averaged.network(inputs), trained.eval()(inputs))
    torch.testing.assert_close(averaged.network(inputs[:1]), averaged.network(inputs)[:1])


def test_with_batch_statistics_it_survives_being_saved(tmp_path: Path) -> None:
    trained, inputs = network(), torch.randn(8, 3)
    averaged = ExponentialMovingAverage(trained, decay=0.9, statistics="batch")
    trained(inputs + 5)
    averaged.update(trained)
    other = ExponentialMovingAverage(network(1), decay=0.9, statistics="batch")
    save_model(averaged, str(tmp_path / "average.safetensors"))
    load_model(other, str(tmp_path / "average.safetensors"))
    for mode in (True, False):
        assert torch.equal(other.train(mode).network(inputs), averaged.train(mode).network(inputs))


def test_dropout_is_off_whatever_the_statistics() -> None:
    averaged = ExponentialMovingAverage(nn.Sequential(nn.Dropout(0.5)), decay=0.9, statistics="batch").train()
    assert torch.equal(averaged.network(torch.ones(50)), torch.ones(50))


def test_a_decay_of_one_update_and_no_warm_up() -> None:
    trained = network()
    averaged = ExponentialMovingAverage(trained, decay=0.9, warm_up=False)
    first = trained[0].weight.detach().clone()
    nn.init.normal_(trained[0].weight)
    averaged.update(trained)
    torch.testing.assert_close(averaged.network[0].weight, 0.9 * first + 0.1 * trained[0].weight.detach())
    averaged.update(trained, decay=0.0)
    torch.testing.assert_close(averaged.network[0].weight, trained[0].weight.detach())
    averaged.update(network(3), decay=1.0)
    torch.testing.assert_close(averaged.network[0].weight, trained[0].weight.detach())


@pytest.mark.parametrize("decay", [-0.1, 1.5])
def test_a_decay_is_a_fraction(decay: float) -> None:
    with pytest.raises(ValueError, match=r"expected a fraction in \[0,1\]"):
        ExponentialMovingAverage(network(), decay=decay)
    with pytest.raises(ValueError, match=r"expected a fraction in \[0,1\]"):
        ExponentialMovingAverage(network(), decay=0.5).update(network(), decay)


def test_unknown_statistics_are_an_error() -> None:
    with pytest.raises(ValueError, match="choose 'running' or 'batch'"):
        ExponentialMovingAverage(network(), decay=0.5, statistics="both")  # type: ignore[arg-type]
