"""Attribute arithmetic on codes that are their factors: every edit works, and what a bad decoder costs is counted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.metrics.attribute_arithmetic import Edits, edit_factor, edited_codes, other_values, value_means


def test_codes_move_by_the_difference_of_means() -> None:
    codes = torch.tensor([[0.0, 0.0], [2.0, 0.0], [5.0, 1.0], [9.0, 9.0]])
    values = torch.tensor([4, 4, 7, 9])
    means, shown = value_means(codes, values)
    assert shown.tolist() == [4, 7, 9]
    assert means.tolist() == [[1.0, 0.0], [5.0, 1.0], [9.0, 9.0]]
    moved = edited_codes(codes[:1], torch.tensor([4]), torch.tensor([7]), means, shown)
    assert moved.tolist() == [[4.0, 1.0]]
    asked = other_values(values.repeat(200), shown, torch.Generator().manual_seed(0))
    assert not (asked == values.repeat(200)).any()
    assert set(asked.tolist()) == {4, 7, 9}


FACTORS = torch.cartesian_prod(torch.arange(3), torch.arange(2))  # (6,2)


def shown(codes: Tensor) -> Tensor:
    """Images (N,1,1,2) whose two pixels are the code (N,2), a factor each."""
    return codes.round().clamp(0, 255).to(torch.uint8).view(-1, 1, 1, 2)


def read(images: Tensor) -> Tensor:
    return images.flatten(1).long()


def edited(factor: int, train: Tensor = FACTORS, **changes: object) -> Edits | None:
    parts = {"reconstructed": FACTORS, "decode": shown, "read": read, **changes}
    generator = torch.Generator().manual_seed(0)
    return edit_factor(factor, (train.float(), train), (FACTORS.float(), FACTORS), **parts, generator=generator)


@pytest.mark.parametrize("factor", [0, 1])
def test_a_code_of_the_factors_is_edited_in_one_of_them_alone(factor: int) -> None:
    edits = edited(factor)
    assert edits is not None
    assert (edits.factor, edits.changed, edits.changed_alone, edits.before, edits.before_alone) == (factor, 1, 1, 0, 0)
    found, other = read(edits.images), 1 - factor
    assert (found[:, factor] != FACTORS[edits.rows, factor]).all()
    assert torch.equal(found[:, other], FACTORS[edits.rows, other])


def test_a_decoder_that_changes_another_factor_as_well_does_not_change_it_alone() -> None:
    edits = edited(0, decode=lambda codes: shown(codes + torch.tensor([0.0, 1.0])))
    assert edits is not None
    assert (edits.changed, edits.changed_alone) == (1, 0)


def test_a_reconstruction_that_reads_wrong_may_have_the_value_by_chance() -> None:
    edits = edited(1, reconstructed=torch.stack([FACTORS[:, 0], 1 - FACTORS[:, 1]], 1))
    assert edits is not None
    assert (edits.before, edits.before_alone) == (1, 1)  # two values: the wrong one is the one that is asked for


def test_values_that_training_does_not_show_are_not_asked_for() -> None:
    edits = edited(0, train=FACTORS[FACTORS[:, 0] < 2])
    assert edits is not None
    assert FACTORS[edits.rows, 0].unique().tolist() == [0, 1]
    assert edited(0, train=FACTORS[FACTORS[:, 0] == 1]) is None  # one value: nothing else to ask for
    assert edited(0, train=FACTORS + torch.tensor([9, 0])) is None  # no test image shows a value of training
