"""Codes as bits: costs against entropies, a general compressor and an exact arithmetic coder."""

from __future__ import annotations

import lzma
from fractions import Fraction
from math import ceil, log2

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.metrics.quantisation import Point, best_within, cheapest, code_length, frontier, quantisers, symbol_costs


def drawn_symbols(shares: list[float], n: int, positions: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.multinomial(torch.tensor(shares), n * positions, True, generator=generator).view(n, positions)


def test_costs_are_smoothed_counts() -> None:
    symbols = torch.tensor([[0, 1], [0, 0], [2, 1], [0, 1]])
    costs = symbol_costs(symbols, torch.tensor([3, 2]))
    expected = [-log2((count + 0.5) / (4 + 1.5)) for count in (3, 0, 1)]
    assert costs[0].tolist() == pytest.approx(expected)
    assert costs[1, :2].tolist() == pytest.approx([-log2(1.5 / 5), -log2(3.5 / 5)])
    assert costs[1, 2] == torch.inf
    assert code_length(costs, symbols[:1]).tolist() == pytest.approx([expected[0] + float(costs[1, 1])])
    for pooled in (False, True):
        shares = (-symbol_costs(symbols, torch.tensor([3, 3]), pooled=pooled)).exp2()
        torch.testing.assert_close(shares.sum(1), torch.ones(2, dtype=torch.float64))


def test_rates_of_independent_symbols_are_their_entropy_and_below_a_fixed_length() -> None:
    shares = [0.7, 0.2, 0.05, 0.05]
    train, test = drawn_symbols(shares, 4000, 6, 0), drawn_symbols(shares, 2000, 6, 1)
    entropy = -sum(share * log2(share) for share in shares)
    for pooled in (False, True):
        costs = symbol_costs(train, torch.full((6,), 4), pooled=pooled)
        bits = float(code_length(costs, test).mean())
        assert bits == pytest.approx(6 * entropy, rel=0.02)
        assert bits < 6 * 2
    packed = 8 * len(lzma.compress(test.to(torch.uint8).numpy().tobytes(), preset=9)) / len(test)
    assert bits < packed < 1.5 * bits  # lzma does not know the distribution, and pays for whole symbols


def test_an_arithmetic_coder_needs_the_code_length_and_can_be_read_back() -> None:
    """Exact arithmetic coding with fractions: the bits that it writes are the code length, rounded up, and one more."""
    train, test = drawn_symbols([0.6, 0.25, 0.15], 500, 40, 0), drawn_symbols([0.6, 0.25, 0.15], 3, 40, 1)
    costs = symbol_costs(train, torch.full((40,), 3))
    shares = [[Fraction(2**-cost).limit_denominator(10**6) for cost in row] for row in costs.tolist()]
    for symbols, expected in zip(test.tolist(), code_length(costs, test).tolist(), strict=True):
        low, width = Fraction(0), Fraction(1)
        for row, symbol in zip(shares, symbols, strict=True):
            low, width = low + width * sum(row[:symbol]), width * row[symbol]
        length = ceil(-log2(width)) + 1
        word = ceil(low * 2**length)
        assert low <= Fraction(word, 2**length) < low + width
        assert expected <= length <= expected + 2.01
        value, found = Fraction(word, 2**length), []
        for row in shares:
            symbol = max(index for index in range(3) if sum(row[:index]) <= value)
            value = (value - sum(row[:symbol])) / row[symbol]
            found.append(symbol)
        assert found == symbols


def test_fine_quantisation_costs_the_differential_entropy_and_its_error_is_a_twelfth_of_the_step() -> None:
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor([1.0, 3.0])
    train, test = (torch.randn(20_000, 2, generator=generator) * scale for _ in range(2))
    images = torch.zeros(len(test), 1, 1, 2, dtype=torch.uint8)
    coder = next(
        c for c in (make() for make in quantisers(train, lambda z: z)) if c.title.startswith("0.25 deviations of each")
    )
    bits = code_length(coder.costs, coder.symbols(test))
    ideal = 2 * (0.5 * log2(2 * np.pi * np.e) - log2(0.25))  # h of a normal over the step, in deviations
    assert float(bits.mean()) == pytest.approx(ideal, abs=0.05)
    error = (coder.images(coder.symbols(test)) - test).square().mean(0).sqrt() / scale
    assert error.tolist() == pytest.approx([0.25 / 12**0.5] * 2, rel=0.05)
    assert coder.measured(test, images).bits == pytest.approx(float(bits.mean()))


def test_a_dimension_that_is_flat_costs_nothing_and_keeps_its_value() -> None:
    train = torch.stack([torch.linspace(-1, 1, 100), torch.full((100,), 5.0)], 1)
    for make in quantisers(train, lambda z: z):
        coder = make()
        symbols = coder.symbols(torch.tensor([[0.0, 5.0], [90.0, 7.0]]))  # far beyond what training shows
        assert coder.images(symbols)[:, 1].tolist() == [5.0, 5.0]
        if "of each" in coder.title:
            assert coder.costs[1, 0] == 0
        assert torch.isfinite(code_length(coder.costs, symbols)).all()


def test_choices_on_the_frontier() -> None:
    points = [Point(title="", bits=bits, error=error) for bits, error in ((8, 1), (4, 2), (6, 3), (1, 9), (9, 1))]
    assert frontier(points) == [3, 1, 0]
    assert cheapest(points, 3.5) == 1
    assert cheapest(points, 0.5) == 0  # none is so good: the least error
    assert best_within(points, 7) == 1
    assert best_within(points, 0.5) == 3  # none is so cheap: the fewest bits


def test_a_point_has_the_psnr_of_its_error() -> None:
    assert Point(title="", bits=1.0, error=0.01).psnr == pytest.approx(20.0)
    assert Point(title="", bits=1.0, error=0.0).psnr == 100.0
