"""Losses that couple a batch, in two processes with half of it each: the gradient of one process with all of it."""

from __future__ import annotations

import pytest
from two_processes import assert_two_processes_agree_with_one, batch

from harness.nn.gathering import gathered, gathered_apart, processes, rank

LOSSES = ["nt_xent_loss", "info_nce_loss", "info_nce_of_both", "swapped_assignment", "variance"]


def test_two_processes_have_the_gradient_of_one() -> None:
    assert_two_processes_agree_with_one(*[f"coupled_losses:{loss}" for loss in LOSSES])


def test_a_loss_that_sees_its_own_rows_alone_is_found_out() -> None:
    with pytest.raises(AssertionError, match="not close"):
        assert_two_processes_agree_with_one("coupled_losses:without_gradients_of_others")


def test_one_process_gathers_nothing() -> None:
    weights, one, _ = batch()
    assert (processes(), rank()) == (1, 0)
    assert gathered(one) is one
    assert not gathered_apart(weights.requires_grad_()).requires_grad
