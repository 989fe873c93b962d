"""Seeded draws: every class keeps its share, and the generator alone decides which rows are held out."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.metrics.holdout import stratified_holdout


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=30),
    share=st.fractions(0, 1),
    seed=st.integers(0, 1000),
)
@settings(max_examples=150, deadline=None)
def test_each_class_keeps_its_share_as_exactly_as_integers_allow(sizes: list[int], share: Fraction, seed: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    n, held = len(labels), int(share * len(labels))
    kept, out = stratified_holdout(n, labels, held, torch.Generator().manual_seed(seed))
    assert len(out) == held
    assert torch.cat([kept, out]).sort().values.tolist() == list(range(n))
    for label, size in enumerate(sizes):
        exact = Fraction(size * held, n)
        assert abs(int((labels[out] == label).sum()) - exact) < 1


def test_many_classes_of_one_image_do_not_starve_a_large_class() -> None:
    labels = torch.cat([torch.zeros(1000, dtype=torch.long), torch.arange(1, 101)])
    _, out = stratified_holdout(1100, labels, 110, torch.Generator().manual_seed(0))
    assert int((labels[out] == 0).sum()) == 100


@pytest.mark.parametrize("labels", [None, torch.arange(40) % 3])
def test_the_generator_alone_decides(labels: torch.Tensor | None) -> None:
    def drawn(seed: int) -> list[int]:
        return stratified_holdout(40, labels, 12, torch.Generator().manual_seed(seed))[1].tolist()

    assert drawn(1) == drawn(1) == sorted(drawn(1))
    assert drawn(1) != drawn(2)
    assert len(set(drawn(1))) == 12


def test_none_and_all_can_be_held_out() -> None:
    labels = torch.tensor([0, 0, 1])
    for held in (0, 3):
        kept, out = stratified_holdout(3, labels, held, torch.Generator())
        assert (len(kept), len(out)) == (3 - held, held)
