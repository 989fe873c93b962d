"""Rates against entropies, a real entropy coder and lzma; and the choice of steps."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from example_subject import LinearCode, digits_dataset, example_subject
from PIL import Image
from torch import Tensor, nn

from harness.data.columns import InMemory
from harness.data.images import to_float
from harness.errors import NotApplicable, TrainingFailed
from harness.metrics.quantisation import code_length, quantisers
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
