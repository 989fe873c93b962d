"""Many networks trained at once: each as torch's own AdamW trains it alone, and the choice among them."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.metrics.parallel_training import Parameters, drawn_batches, train_and_choose, uniform

RATES, DECAYS = (1e-2, 1e-3, 1e-2), (0.1, 0.1, 2.0)
X = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


def logits(parameters: Parameters, x: Tensor) -> Tensor:
    return torch.baddbmm(parameters["b"], x.expand(len(parameters["w"]), -1, -1), parameters["w"])  # (R,N,2)


def losses(parameters: Parameters, rows: Tensor) -> Tensor:
    return torch.stack([F.cross_entropy(each, Y[rows]) for each in logits(parameters, X[rows])])


def start() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {"w": uniform((5, 2), 5, 3, generator), "b": uniform((1, 2), 5, 3, generator)}


@pytest.mark.parametrize("network", range(3))
def test_each_network_is_trained_as_by_torch(network: int) -> None:
    batches = drawn_batches(60, 16, 40, torch.Generator().manual_seed(2))
    wanted = torch.tensor([math.inf] * 3)
    wanted[network] = 0.0
    seen = iter(
        [wanted + 1, wanted]
    )  # the first look is before training: the last one is better for this network alone
    found = train_and_choose(
        start(), losses, lambda parameters: next(seen), batches, weights=("w",), rates=RATES, decays=DECAYS, looks=1
    )
    weight, bias = (value[network].clone().requires_grad_(True) for value in start().values())
    groups = [{"params": [weight], "weight_decay": DECAYS[network]}, {"params": [bias], "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=RATES[network])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, len(batches))
    for rows in batches:
        optimiser.zero_grad()
        F.cross_entropy(X[rows] @ weight + bias, Y[rows]).backward()
        optimiser.step()
        schedule.step()
    assert (found.network, found.step) == (network, 40)
    torch.testing.assert_close(found.parameters["w"][0], weight.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.parameters["b"][0], bias.detach(), rtol=1e-4, atol=1e-5)


def test_the_best_moment_of_the_best_network_is_kept() -> None:
    told = iter(torch.tensor([[3.0, 3.0, 3.0], [2.0, 2.5, math.nan], [9.0, 1.0, 8.0], [1.5, 4.0, 1.0]]))
    batches = drawn_batches(60, 16, 3, torch.Generator().manual_seed(2))
    found = train_and_choose(
        start(), losses, lambda p: next(told), batches, weights=("w",), rates=RATES, decays=DECAYS, looks=3
    )
    assert (found.network, found.step, found.loss) == (1, 2, 1.0)


def test_all_networks_begin_alike_and_nothing_of_the_start_is_changed() -> None:
    begun = start()
    assert torch.equal(begun["w"][0], begun["w"][2])
    assert float(begun["w"].abs().max()) <= 1 / math.sqrt(5)
    kept = {name: value.clone() for name, value in begun.items()}
    batches = drawn_batches(60, 16, 5, torch.Generator().manual_seed(2))
    train_and_choose(begun, losses, lambda p: torch.zeros(3), batches, weights=("w",), rates=RATES, decays=DECAYS)
    assert all(torch.equal(begun[name], kept[name]) for name in kept)


def test_batches_are_whole_epochs_one_after_the_other() -> None:
    batches = drawn_batches(10, 4, 5, torch.Generator().manual_seed(0))
    assert [len(rows) for rows in batches] == [4] * 5
    rows = torch.cat(batches)
    assert sorted(rows[:10].tolist()) == sorted(rows[10:].tolist()) == list(range(10))
    assert [len(rows) for rows in drawn_batches(3, 256, 2, torch.Generator())] == [3, 3]
