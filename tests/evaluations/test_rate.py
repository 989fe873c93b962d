"""Rates against entropies, a real entropy coder and lzma; and the choice of steps."""

from __future__ import annotations

import io
import lzma
from dataclasses import replace
from fractions import Fraction
from math import ceil, log2
from pathlib import Path

import numpy as np
import pytest
import torch
from example_subject import LinearCode, digits_dataset, example_subject
from PIL import Image
from torch import Tensor, nn

from harness.data.columns import InMemory
from harness.data.images import to_float
from harness.errors import NotApplicable, TrainingFailed
from harness.metrics.quantisation import Point, best_within, cheapest, code_length, frontier, quantisers, symbol_costs
from harness_plugins.evaluations.rate import Config, png_bits, run

DATA = digits_dataset()


class TopLeft(nn.Module):
    """A discrete code: 16 blocks of 2x2 pixels in four shades."""

    def symbols(self, images: Tensor) -> Tensor:
        return (nn.functional.avg_pool2d(images, 2) * 3).round().long().flatten(1)

    def reconstruct(self, images: Tensor) -> Tensor:
        shades = self.symbols(images).view(-1, 1, 4, 4) / 3
        return nn.functional.interpolate(shades, scale_factor=2, mode="nearest")


class Silent(nn.Module):
    """Neither code nor symbols."""


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


def test_scores_of_a_linear_code_are_those_of_the_step_that_they_name(tmp_path: Path) -> None:
    method = LinearCode(DATA.train.values, 12)
    subject = example_subject(method, DATA, tmp_path)
    scores = run(subject, Config(budget=0.5))
    images = to_float(DATA.test.values)
    exact = float((method.reconstruct(images).clamp(0, 1) - images).square().mean())
    error = 10 ** (-scores["psnr"].value / 10)
    assert exact < error < 1.07 * exact
    title = scores["bits"].note.split(";")[0].removeprefix("step ")
    makers = [make() for make in quantisers(method.code(to_float(DATA.train.values)), method.decode)]
    coder = next(coder for coder in makers if coder.title == title)
    symbols = coder.symbols(method.code(images))
    assert scores["bits"].value == pytest.approx(float(code_length(coder.costs, symbols).mean()), rel=1e-6)
    rebuilt = coder.images(symbols).clamp(0, 1)
    assert error == pytest.approx(float((rebuilt - images).square().mean()), rel=1e-5)
    assert scores["compression_ratio"].value == pytest.approx(512 / scores["bits"].value)
    assert scores["bits"].value < 12 * 32
    assert scores["psnr_at_budget"].chance < scores["psnr_at_budget"].value < scores["psnr"].value
    assert "PNG" in scores["bits"].note
    assert [picture.name for picture in subject.pictures] == ["rate"]
    assert run(example_subject(method, DATA, tmp_path), Config(budget=0.5)) == scores


def test_more_dimensions_cost_more_bits_and_keep_more(tmp_path: Path) -> None:
    few, many = (run(example_subject(LinearCode(DATA.train.values, dim), DATA, tmp_path), Config()) for dim in (4, 24))
    assert few["bits"].value < many["bits"].value
    assert few["psnr"].value < many["psnr"].value


def test_a_discrete_code_costs_less_than_its_fixed_length(tmp_path: Path) -> None:
    scores = run(example_subject(TopLeft(), DATA, tmp_path), Config(budget=0.4))
    assert 16 < scores["bits"].value < 32
    assert "16 symbols out of 4, 32 bits at a fixed length" in scores["bits"].note
    images = to_float(DATA.test.values)
    error = (TopLeft().reconstruct(images) - images).square().mean()
    assert scores["psnr"].value == pytest.approx(float(-10 * error.log10()), rel=1e-4)
    assert scores["psnr_at_budget"].value == scores["psnr"].value
    assert "psnr_at_budget" not in run(example_subject(TopLeft(), DATA, tmp_path), Config(budget=0.1))


def test_png_bits_are_those_of_the_files() -> None:
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    images[1] = torch.randint(256, (3, 8, 8), generator=torch.Generator().manual_seed(0))
    sizes = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, format="png", optimize=True)
        sizes.append(8 * buffer.tell())
    assert png_bits(images) == sum(sizes) / 2
    assert sizes[0] < sizes[1]
    assert png_bits(images[:, :1]) < png_bits(images)


def test_what_has_no_code_is_skipped_and_what_has_none_of_use_fails(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="no code to store"):
        run(example_subject(Silent(), DATA, tmp_path), Config())
    one = replace(DATA, train=replace(DATA.train, inputs=InMemory(DATA.train.values * 0)))
    with pytest.raises(TrainingFailed, match="collapsed"):
        run(example_subject(LinearCode(DATA.train.values, 4), one, tmp_path), Config())
    for answer, reason in (
        (lambda images: images.flatten(1), "expected integers"),
        (lambda images: torch.zeros(len(images), 2, 2, dtype=torch.int64), "expected integers"),
        (lambda images: torch.full((len(images), 2), -1), "negative"),
    ):
        wrong = TopLeft()
        wrong.symbols = answer  # type: ignore[method-assign]
        with pytest.raises(TrainingFailed, match=reason):
            run(example_subject(wrong, DATA, tmp_path), Config())


@pytest.mark.parametrize("wrong", [{"tolerance": 0.9}, {"budget": 0.0}, {"shown": 0}])
def test_a_config_is_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Config(**wrong)
