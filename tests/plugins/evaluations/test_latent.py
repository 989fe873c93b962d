"""Latent evaluation: paths, edits and factors of codes whose behaviour is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from example_subject import LinearCode, digits_dataset, example_subject
from factor_images import read_squares, squares
from PIL import Image
from torch import Tensor, nn

from harness.errors import TrainingFailed
from harness.judging.codes import codes_of, decoded
from harness_plugins.evaluations.latent import SCORES, Config, quantiles, run

SMALL = Config(pairs=40, steps=8)


class SquareCode(nn.Module):
    """A model of the squares that knows their factors: the code is (x, y, brightness), and it decodes to a square."""

    def code(self, images: Tensor) -> Tensor:
        weight = images[:, 0].clamp_min(1e-6) / images[:, 0].clamp_min(1e-6).sum((1, 2), keepdim=True)
        line = torch.arange(8.0)
        centre = torch.stack([(weight.sum(1) * line).sum(1), (weight.sum(2) * line).sum(1)], 1)  # (B,2)
        return torch.cat([centre, images.amax((1, 2, 3))[:, None]], 1)

    def decode(self, code: Tensor) -> Tensor:
        line = torch.arange(8.0)
        across = (1.5 - (line - code[:, :1]).abs()).clamp(0, 1)  # (B,W), a square two pixels wide
        down = (1.5 - (line - code[:, 1:2]).abs()).clamp(0, 1)
        return (code[:, 2, None, None] * down[:, :, None] * across[:, None, :])[:, None].clamp(0, 1)


class Constant(SquareCode):
    def decode(self, code: Tensor) -> Tensor:
        return super().decode(code) * 0 + 0.5


class Jumps(SquareCode):
    """The same, but its decoder knows the nine places only."""

    def decode(self, code: Tensor) -> Tensor:
        place = ((code[:, :2] - 0.5) / 3).round() * 3 + 0.5
        return super().decode(torch.cat([place, code[:, 2:]], 1))


class Broken(SquareCode):
    def decode(self, code: Tensor) -> Tensor:
        return super().decode(code)[:, :, :4]


def test_midpoints_of_principal_components_are_cross_fades(tmp_path: Path) -> None:
    data = digits_dataset()
    unlabelled = replace(data, train=replace(data.train, labels=None))
    subject = example_subject(LinearCode(data.train.values, 20), unlabelled, tmp_path)
    scores = run(subject, SMALL)
    for name in ("midpoint_distance", "midpoint_cost"):
        assert scores[name].value == pytest.approx(scores[name].chance, rel=0.02)  # both rounded to 256 levels
        assert "pixels, 1294 training images" in scores[name].note
    assert scores["midpoint_cost"].value > 1.2
    assert scores["largest_step"].value == pytest.approx(1, abs=0.1)  # clamping to [0,1] is all that is not linear
    assert set(scores) == {"midpoint_precision", "midpoint_distance", "midpoint_cost", "largest_step", "path_length"}
    assert [picture.name for picture in subject.pictures] == ["traversal"]
    with Image.open(subject.pictures[0].file) as picture:
        assert picture.size == (9 * 9 - 1, 8 * 9 - 1)


def test_a_code_of_the_factors_is_continuous_edited_and_disentangled(tmp_path: Path) -> None:
    data = squares()
    subject = example_subject(SquareCode(), data, tmp_path)
    scores = run(subject, SMALL)
    assert scores["path_length"].value > 1.2
    assert scores["attribute_changed"].value == scores["attribute_changed_alone"].value > 0.9
    assert scores["attribute_changed"].chance == 0.0
    assert scores["attribute_changed"].n == 3 * len(data.test)
    assert "column 1.00, row 1.00, brightness" in scores["attribute_changed"].note
    assert scores["mig"].value > 0.8
    assert scores["dci_disentanglement"].value > 0.95
    assert scores["dci_completeness"].value > 0.95
    assert scores["dci_informativeness"].value > 0.95
    assert scores["sap"].value > 0.4
    assert set(scores) == {score.name for score in SCORES}
    assert [picture.name for picture in subject.pictures] == ["traversal", "arithmetic"]
    assert run(example_subject(SquareCode(), data, tmp_path), SMALL) == scores


def test_a_decoder_that_jumps_has_larger_steps_and_midpoints_nearer_to_the_data(tmp_path: Path) -> None:
    even, uneven = (run(example_subject(model, squares(), tmp_path), SMALL) for model in (SquareCode(), Jumps()))
    assert uneven["largest_step"].value > 1.5 * even["largest_step"].value
    assert uneven["midpoint_precision"].value > even["midpoint_precision"].value + 0.2
    assert uneven["midpoint_distance"].value < uneven["midpoint_distance"].chance / 2
    assert uneven["midpoint_distance"].value < even["midpoint_distance"].value / 2


def test_a_mixed_linear_code_is_edited_less_well_and_is_not_disentangled(tmp_path: Path) -> None:
    data = squares()
    scores = run(example_subject(LinearCode(data.train.values, 6), data, tmp_path), SMALL)
    assert scores["attribute_changed_alone"].value < 0.5
    assert scores["mig"].value < 0.5


def test_without_a_reader_or_factors_their_scores_are_absent(tmp_path: Path) -> None:
    data = replace(squares(), read_factors=None)
    names = set(run(example_subject(SquareCode(), data, tmp_path), SMALL))
    assert "mig" in names
    assert not names & {"attribute_changed", "attribute_changed_alone"}
    bare = replace(data, spec=replace(data.spec, factors=()))
    assert "mig" not in run(example_subject(SquareCode(), bare, tmp_path), SMALL)


def test_unusable_codes_and_images_fail_with_a_reason(tmp_path: Path) -> None:
    data = squares(100)
    with pytest.raises(TrainingFailed, match="ignores its code"):
        run(example_subject(Constant(), data, tmp_path), SMALL)
    broken = example_subject(Broken(), data, tmp_path)
    with pytest.raises(TrainingFailed, match=r"decode\(\) gave \(2, 1, 4, 8\), expected \(2, 1, 8, 8\)"):
        decoded(broken, torch.ones(2, 3))
    with pytest.raises(TrainingFailed, match="not finite"):
        decoded(example_subject(SquareCode(), data, tmp_path), torch.full((2, 3), torch.nan))
    broken.method.code = lambda images: images
    with pytest.raises(TrainingFailed, match=r"code\(\) gave .* flatten"):
        codes_of(broken, data.test.values)
    broken.method.code = lambda images: images.flatten(1) / 0
    with pytest.raises(TrainingFailed, match="not finite"):
        codes_of(broken, data.test.values)


def test_quantiles_are_values_of_the_codes() -> None:
    codes = torch.stack([torch.arange(101.0), -torch.arange(101.0)], 1)
    assert quantiles(codes, 0.02).tolist() == [2.0, -98.0]


def test_the_reader_of_the_example_reads_its_images_and_nothing_else() -> None:
    data = squares(100)
    assert torch.equal(read_squares(data.test.values), data.test.factors)
    assert (read_squares(torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)) == -1).all()


@pytest.mark.parametrize("wrong", [{"steps": 3}, {"pairs": 0}, {"shown": 1}, {"fitted": 1}])
def test_a_config_is_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Config(**wrong)
